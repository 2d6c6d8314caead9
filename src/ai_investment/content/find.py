"""Finding passages for a question: ranked candidates, shaped for an answer."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from ai_investment.content.answerable import ENOUGH, Signals, chance, signals
from ai_investment.content.dense import Dense
from ai_investment.content.lexical import Follower
from ai_investment.content.query import Question
from ai_investment.content.ranking import Filters, rank
from ai_investment.content.revisions import passage_words
from ai_investment.content.shaping import Shaped, shape
from ai_investment.db import Database

# More than one, so that a long document can answer by itself; not all, so that others are heard.
_A_DOCUMENT = 5


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
    version: int = 1
    """Of its document: the version whose words these are."""


class Found(msgspec.Struct, frozen=True):
    """What was found, best first; `degraded` names what could not be asked.

    `answers`: whether the passages are likely to answer the question, by these `signals`.
    """

    passages: list[Passage]
    degraded: list[str] = []
    answers: bool = False
    signals: Signals | None = None


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
    chosen = await shape(database, ranking.passages, limit=limit, a_document=_A_DOCUMENT)
    # What is not among the candidates by meaning is at most as near as the last of them.
    lowest = min((item.cosine for item in ranking.passages if item.cosine is not None), default=0.0)
    passages = [_passage(item, lowest) for item in chosen]
    best = [passage_words(item.title, item.heading, item.text) for item in passages]
    seen = await asyncio.to_thread(signals, question, ranking, best, lexical.index)
    likely = chance(seen, by_meaning="dense" not in ranking.degraded)
    return Found(passages, ranking.degraded, bool(passages) and likely >= ENOUGH, seen)


def _passage(shaped: Shaped, lowest: float) -> Passage:
    row, cosine = shaped.row, shaped.ranked.cosine
    return Passage(
        id=row.id,
        document_id=row.document_id,
        title=row.title,
        url=row.url,
        source=row.source,
        published_at=row.published_at,
        heading=row.heading,
        text=row.text,
        score=lowest if cosine is None else cosine,
        position=shaped.ranked.position,
        version=row.version,
    )
