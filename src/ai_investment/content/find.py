"""Finding passages for a question: ranked candidates, shaped for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ai_investment.content.dense import Dense
from ai_investment.content.lexical import Follower
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.query import Question
from ai_investment.content.ranking import Filters, Ranked, rank
from ai_investment.db import Database


class Passage(msgspec.Struct, frozen=True):
    """A live passage. `score` is the cosine between the question and the passage (-1 to 1)."""

    id: str
    document_id: str
    title: str
    url: str | None
    source: str
    published_at: datetime | None
    heading: str | None
    text: str
    score: float
    position: int = 0
    """Its place among the passages of its document."""


class Found(msgspec.Struct, frozen=True):
    """What was found, best first; `degraded` names what could not be asked."""

    passages: list[Passage]
    degraded: list[str] = []


async def find_passages(
    database: Database,
    dense: Dense,
    lexical: Follower,
    question: Question,
    *,
    filters: Filters = Filters(),  # noqa: B008 - frozen
    limit: int = 8,
) -> Found:
    """The passages that fit best; only those of live versions of documents that exist."""
    ranking = await rank(database, dense, lexical, question, filters=filters)
    chosen = ranking.passages[:limit]
    lowest = min((item.cosine for item in ranking.passages if item.cosine is not None), default=0.0)
    return Found(await _read(database, chosen, lowest), ranking.degraded)


async def _read(database: Database, chosen: Sequence[Ranked], lowest: float) -> list[Passage]:
    """Their words. What is not among the candidates by meaning is at most as near as the last of them."""
    query = (
        sa.select(
            PassageRow.id, DocumentVersion.document_id, DocumentVersion.title, DocumentVersion.url,
            Document.source, DocumentVersion.published_at, PassageRow.heading, PassageRow.text,
        )
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .join(Document, Document.live_version_id == DocumentVersion.id)
        .where(PassageRow.id.in_([item.passage_id for item in chosen]), Document.deleted_at.is_(None))
    )  # fmt: skip
    async with database.reading() as read:
        rows = {row.id: row for row in await read.execute(query)}
    return [
        Passage(
            *rows[item.passage_id],
            lowest if item.cosine is None else item.cosine,
            item.position,
        )
        for item in chosen
        if item.passage_id in rows
    ]
