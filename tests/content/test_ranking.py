"""The ranking when its parts do not keep up: words while their index is built, meaning when it stops to answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import sqlalchemy as sa

from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content.dense import DenseUnavailable
from ai_investment.content.lexical import Follower
from ai_investment.content.models import ContentRevision, Document, DocumentVersion
from ai_investment.content.query import Question
from ai_investment.content.ranking import Filters, rank
from ai_investment.content.revisions import Change
from ai_investment.content.vectors import Hit
from ai_investment.db import Database
from tests.content.test_shaping import stored


async def published(database: Database) -> None:
    """Let followers of the content see what was stored."""
    async with database.transaction() as db:
        await db.execute(sa.update(Document).values(revision=1))
        await db.execute(sa.update(ContentRevision).values(revision=1))


class OnceNear:
    """Answers the first time and not again."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._asked = 0

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        self._asked += 1
        if self._asked > 1:
            raise DenseUnavailable("gone")
        return [Hit(key, 1 - n / 1000) for n, key in enumerate(self._ids[:limit])]

    async def scores(self, question: Question, ids: Sequence[str]) -> list[Hit]:
        raise DenseUnavailable("gone")


async def test_what_was_near_holds_when_nobody_looks_further(database: Database) -> None:
    await stored(database, {"many": [f"gravel {n}" for n in range(400)], "rare": ["a pebble"]})
    async with database.transaction() as db:
        await db.execute(
            sa.update(DocumentVersion)
            .where(DocumentVersion.id == "vrare")
            .values(topic="rare")
        )  # fmt: skip
    await published(database)
    dense = OnceNear(["rare0", *(f"many{n}" for n in range(400))])
    ranking = await rank(
        database, dense, Follower(TantivyIndex()), Question("gravel"), filters=Filters(topic="rare")
    )
    assert ranking.degraded == ["dense"]
    assert [(item.passage_id, item.cosine) for item in ranking.passages] == [("rare0", 1.0)]


class Losing:
    """Finds all but one passage, as a graph of vectors may; asked for that one it knows how near it is."""

    def __init__(self, near: Sequence[str], lost: Hit) -> None:
        self._near = near
        self._lost = lost
        self.away = False
        self.asked: list[str] = []

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        return [Hit(key, 0.3 - n / 1000) for n, key in enumerate(self._near)]

    async def scores(self, question: Question, ids: Sequence[str]) -> list[Hit]:
        self.asked += ids
        if self.away:
            raise DenseUnavailable("gone")
        return [self._lost] if self._lost.passage_id in ids else []


async def test_a_passage_that_has_all_the_words_is_scored_by_meaning_though_it_was_not_found_so(
    database: Database,
) -> None:
    await stored(
        database, {"fees": [f"a fee of {n} euro" for n in range(9)], "levy": ["the Zebrafin levy"]}
    )
    await published(database)
    follower, near = Follower(TantivyIndex()), [f"fees{n}" for n in range(9)]
    dense, question = Losing(near, Hit("levy0", 0.8)), Question("the fee of the Zebrafin levy")
    first = (await rank(database, dense, follower, question)).passages[0]
    assert (first.passage_id, first.cosine, first.score) == ("levy0", 0.8, 1.0)
    further = await rank(database, Losing(near, Hit("levy0", 0.1)), follower, question)
    assert {it.passage_id: it.cosine for it in further.passages}["levy0"] is None
    dense.away = True
    without = await rank(database, dense, follower, question)
    assert (without.degraded, without.passages[0].passage_id) == ([], "fees0")


async def test_nobody_asks_for_a_passage_that_has_hardly_more_of_the_words_than_the_nearest(
    database: Database,
) -> None:
    await stored(database, {"near": ["the Zebrafin levy in detail"], "far": ["the Zebrafin levy"]})
    await published(database)
    dense = Losing(["near0"], Hit("far0", 0.9))
    ranking = await rank(database, dense, Follower(TantivyIndex()), Question("the Zebrafin levy"))
    assert (dense.asked, len(ranking.passages)) == ([], 2)


class SlowIndex(TantivyIndex):
    """Takes nothing in until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    def apply(self, changes: Sequence[Change]) -> None:
        self.may.wait(10)
        super().apply(changes)


async def test_an_index_that_is_being_built_is_not_waited_for_and_goes_on(
    database: Database,
) -> None:
    await stored(database, {"a": ["a wombat eats grass"]})
    await published(database)
    index = SlowIndex()
    follower, nobody = Follower(index, patience=0.1), OnceNear([])
    early = await rank(database, nobody, follower, Question("wombat"))
    assert (early.degraded, early.passages) == (["lexical"], [])
    index.may.set()
    for _ in range(100):
        if await follower.catch_up(database):
            break
        await asyncio.sleep(0.05)
    late = await rank(database, OnceNear([]), follower, Question("wombat"))
    assert late.degraded == []
    assert [item.passage_id for item in late.passages] == ["a0"]
