"""The canary: live passages, asked for by their own words, have to find themselves."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from ai_investment.content.generations import Generation
from ai_investment.content.indexing import Indexing, embed_passages, with_lead
from ai_investment.content.models import Document, PassageRow
from ai_investment.content.revisions import LivePassage, some_live
from ai_investment.content.vectors import Embedder, Vectors
from ai_investment.db import Database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

# Documents of which one passage each is asked for.
_ASKED = 30
# So many nearest passages are looked at, then more: the search of the store is not exact.
_WIDTHS = (100, 2000)
# Of the store's arithmetic, which is no other than ours but for the order of sums.
_ROUNDING = 1e-3


class Checked(msgspec.Struct, frozen=True):
    """How many passages were asked for, and how many of them were not found."""

    collection: str
    asked: int
    lost: int

    @property
    def sound(self) -> bool:
        """A store's approximate search may miss one of many near-copies; a broken one misses more."""
        return self.lost * 10 <= self.asked


async def check(database: Database, generation: Generation, use: Indexing) -> Checked:
    """Ask a collection for passages that are in it. Raises VectorStoreUnavailable.

    A passage that others crowd out, which score as high by its words, is not lost.
    """
    async with database.reading() as read:
        documents = await some_live(read, sa.not_(generation.at.beyond()), _ASKED)
    chosen = [random.choice(with_lead(document)) for document in documents]
    if not chosen:
        return Checked(generation.name, 0, 0)
    questions, stored = await asyncio.to_thread(_vectors, use.embedder, chosen)
    missing = []
    for (_, passage), question, vector in zip(chosen, questions, stored, strict=True):
        if await _lost(use.vectors, generation.name, passage.id, question, vector):
            missing.append(passage.id)
    return Checked(generation.name, len(chosen), await _still_live(database, missing))


async def _lost(
    vectors: Vectors,
    collection: str,
    passage_id: str,
    question: NDArray[np.float32],
    stored: NDArray[np.float32],
) -> bool:
    """Whether a passage is not found although it is written again: its vector may be there, and no other
    one link to it any more. Written once more it gets new links.
    """
    score = float(question @ stored)
    if await _found(vectors, collection, passage_id, question, score - _ROUNDING):
        return False
    there = await vectors.scores(collection, question, [passage_id])
    if not any(abs(hit.score - score) <= _ROUNDING for hit in there):
        return True
    log.info("%s is written again into %s: nothing linked to it", passage_id, collection)
    await vectors.upsert(collection, [passage_id], stored[None, :])
    return not await _found(vectors, collection, passage_id, question, score - _ROUNDING)


async def _found(
    vectors: Vectors, collection: str, passage_id: str, question: NDArray[np.float32], score: float
) -> bool:
    for width in _WIDTHS:
        hits = await vectors.query(collection, question, width)
        if any(hit.passage_id == passage_id for hit in hits):
            return True
        if len(hits) == width and hits[-1].score >= score:
            return True
    return False


def _vectors(
    embedder: Embedder, chosen: Sequence[tuple[str, LivePassage]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Their words' vectors, and those that the collection has."""
    return embedder.embed([passage.words for _, passage in chosen]), embed_passages(
        embedder, chosen
    )


async def _still_live(database: Database, ids: Sequence[str]) -> int:
    """Passages may have gone, as they should, while they were asked for."""
    query = (
        sa.select(sa.func.count())
        .select_from(PassageRow)
        .join(Document, Document.live_version_id == PassageRow.version_id)
        .where(PassageRow.id.in_(ids))
    )
    async with database.reading() as read:
        return int((await read.execute(query)).scalar_one())
