"""What retrieval needs from an index of words, and how such an index keeps up with SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from ai_investment.content.revisions import Change, changes_after, current_revision
from ai_investment.content.vectors import Hit
from ai_investment.db import Database


class Lexical(Protocol):
    """An index of words in this process; it may hold what SQL no longer has, and SQL decides.

    A term is a word as the index keeps it: small letters, without its ending; stop words are none.
    Calls block, and may come from several threads.
    """

    def apply(self, changes: Sequence[Change]) -> None:
        """Take these documents' live passages in place of what was there of them."""
        ...

    def terms(self, text: str) -> list[str]:
        """The terms of a text in order, repeated as they are repeated there."""
        ...

    def search(self, terms: Mapping[str, float], limit: int) -> list[Hit]:
        """The passages with the highest BM25 scores for these weighted terms, best first."""
        ...

    def rarity(self, term: str) -> float:
        """The term's inverse document frequency; the highest for a term that no passage has."""
        ...

    def knows(self, term: str) -> bool:
        """Whether a passage has the term."""
        ...

    def nearest_known(self, term: str) -> str | None:
        """What an unknown term may be a misspelling of."""
        ...


class Follower:
    """Keeps one process's index of words up with SQL; the index is built anew when a process starts.

    `patience`: the seconds after which `catch_up` is left to go on by itself; None: it is waited for.
    """

    def __init__(self, index: Lexical, *, patience: float | None = None) -> None:
        self.index = index
        self._patience = patience
        self._revision = -1
        self._one_at_a_time = asyncio.Lock()

    async def catch_up(self, database: Database) -> bool:
        """When it returns True, everything that was committed when this was called is in the index.

        False: the patience ended before.
        """
        if await self._behind(database) is None:
            return True
        going_on = asyncio.ensure_future(self._follow(database))
        done, _ = await asyncio.wait({going_on}, timeout=self._patience)
        if done:
            going_on.result()
        return bool(done)

    async def _follow(self, database: Database) -> None:
        async with self._one_at_a_time:
            if (newest := await self._behind(database)) is None:
                return
            async for changes in changes_after(database, self._revision):
                await asyncio.to_thread(self.index.apply, changes)
            self._revision = newest

    async def _behind(self, database: Database) -> int | None:
        newest = await current_revision(database)
        return newest if newest != self._revision else None
