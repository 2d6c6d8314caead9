"""Which live passages fit a question best: candidates by meaning and by words, fused; SQL decides what is live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from ai_investment.compiled import Compiled
from ai_investment.content.dense import Dense, DenseUnavailable
from ai_investment.content.lexical import Follower
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.query import Question, lexical_weights
from ai_investment.content.vectors import Hit
from ai_investment.db import Database

log = logging.getLogger(__name__)

# Measured on three sets (docs/evaluation.md): meaning weighs more than words.
DENSE_WEIGHT = 0.6
# Candidates of each kind. Scores are scaled between the best and the last of them.
_WIDTH = 200
# The age from which people are part of an audience.
_FROM_AGE = {"teen": 13, "adult": 18}
_WIDEST = 6400
# The words of a passage count for so much more than those of all that is near that it should have been near.
_FAR_MORE = 2


class Filters(msgspec.Struct, frozen=True):
    """None: of any kind; what somebody sent in is an article. `age` leaves out what is not for people of it;
    of nobody known (None) everything that is not for everyone."""

    topic: str | None = None
    level: str | None = None
    kind: str | None = None
    age: int | None = None


class Ranked(msgspec.Struct, frozen=True):
    """A live passage with its scores: fused (0 to 1), cosine and BM25. None: not among those candidates."""

    passage_id: str
    document_id: str
    position: int
    published_at: datetime | None
    kind: str | None
    score: float
    cosine: float | None
    bm25: float | None


class Ranking(msgspec.Struct, frozen=True):
    """The best first. `degraded` names what could not be asked."""

    passages: list[Ranked]
    degraded: list[str] = []


async def rank(
    database: Database,
    dense: Dense,
    lexical: Follower,
    question: Question,
    *,
    filters: Filters = Filters(),  # noqa: B008 - frozen
    enough: int = 50,
) -> Ranking:
    """Live passages, best first: at least `enough` when there are as many, and not many more.

    Stale entries of an index do not crowd out live ones: when too few candidates are live, more are asked for.
    """
    degraded: list[str] = []
    by_meaning: list[Hit] = []
    width = max(_WIDTH, 2 * enough)
    while True:
        wider, (by_words, live) = await asyncio.gather(
            _by_meaning(dense, question, width, degraded),
            _by_words(database, lexical, question, filters, width, degraded),
        )
        # What was found nearer holds when nobody looks further.
        by_meaning = wider or by_meaning
        live |= await _live(database, by_meaning, filters, known=by_words)
        more = len(by_meaning) >= width or len(by_words) >= width
        if len(live) >= enough or not more or width >= _WIDEST:
            break
        # As many as it takes if what lies further off is live as often.
        width = min(_WIDEST, max(4 * width, width * enough // max(1, len(live))))
    if "dense" not in degraded and (missed := _missed(live, by_meaning, by_words)):
        by_meaning = await _completed(dense, question, by_meaning, missed)
    return Ranking(_fused(live, by_meaning, by_words), degraded)


async def _by_meaning(
    dense: Dense, question: Question, width: int, degraded: list[str]
) -> list[Hit]:
    if "dense" in degraded:
        return []
    try:
        return await dense.nearest(question, width)
    except DenseUnavailable as cause:
        log.warning("no candidates by meaning: %s", cause)
        degraded.append("dense")
        return []


async def _by_words(
    database: Database,
    lexical: Follower,
    question: Question,
    filters: Filters,
    width: int,
    degraded: list[str],
) -> tuple[list[Hit], dict[str, _Live]]:
    """Words are found sooner: which of these passages are live is asked meanwhile."""
    if not await lexical.catch_up(database) and "lexical" not in degraded:
        degraded.append("lexical")
    index = lexical.index
    found = await asyncio.to_thread(lambda: index.search(lexical_weights(question, index), width))
    return found, await _live(database, found, filters)


def _missed(
    live: Mapping[str, _Live], by_meaning: Sequence[Hit], by_words: Sequence[Hit]
) -> str | None:
    """The best passage by words, if the nearest ones have far fewer of them: a graph of vectors loses a
    passage that is unlike all others, such as the first one about its subject.
    """
    near = {hit.passage_id for hit in by_meaning}
    best = next((hit for hit in by_words if hit.passage_id in live), None)
    if not near or best is None or best.passage_id in near:
        return None
    most = next((hit.score for hit in by_words if hit.passage_id in near), 0.0)
    return best.passage_id if best.score >= _FAR_MORE * most else None


async def _completed(
    dense: Dense, question: Question, by_meaning: list[Hit], missed: str
) -> list[Hit]:
    """With a passage that is nearer than the last of them, though it was not found."""
    try:
        scored = await dense.scores(question, [missed])
    except DenseUnavailable as cause:
        log.warning("the best passage by words was not scored: %s", cause)
        return by_meaning
    nearer = [hit for hit in scored if hit.score > by_meaning[-1].score]
    return sorted([*by_meaning, *nearer], key=lambda hit: -hit.score)


class _Live(NamedTuple):
    passage_id: str
    document_id: str
    position: int
    published_at: datetime | None
    kind: str | None


async def _live(
    database: Database, hits: Sequence[Hit], filters: Filters, *, known: Sequence[Hit] = ()
) -> dict[str, _Live]:
    """The rows of those that are live and pass the filters, without the `known` ones."""
    dialect = database.engine.dialect
    ids = list({hit.passage_id for hit in hits} - {hit.passage_id for hit in known})
    if not ids:
        return {}
    rows = await database.alone(_of_live(dialect, filters), ids=listed(dialect, ids))
    return {row[0]: _Live(*row) for row in rows}


@lru_cache(maxsize=64)
def _of_live(dialect: sa.Dialect, filters: Filters) -> Compiled:
    query = (
        sa.select(
            PassageRow.id, DocumentVersion.document_id, PassageRow.position,
            DocumentVersion.published_at, Document.kind,
        )
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .join(Document, Document.live_version_id == DocumentVersion.id)
        .where(among(dialect, PassageRow.id), Document.deleted_at.is_(None))
    )  # fmt: skip
    for column, wanted in (
        (DocumentVersion.topic, filters.topic),
        (DocumentVersion.level, filters.level),
        (sa.func.coalesce(Document.kind, "article"), filters.kind),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    unsuitable = [audience for audience, age in _FROM_AGE.items() if (filters.age or 0) < age]
    query = query.where(sa.func.coalesce(Document.audience, "").not_in(unsuitable))
    return Compiled(query, dialect)


def among(dialect: sa.Dialect, column: Any) -> sa.ColumnElement[bool]:
    """Whether a column is in the parameter `ids`: one, for drivers take only so many. Its value is `listed`."""
    if dialect.name == "postgresql":
        ids = sa.bindparam("ids", [], ARRAY(sa.String))
        of_these: sa.ColumnElement[bool] = column == sa.any_(ids)
        return of_these
    given = sa.func.json_each(sa.bindparam("ids", "[]", sa.String)).table_valued("value")
    within: sa.ColumnElement[bool] = column.in_(sa.select(given.c.value))
    return within


def listed(dialect: sa.Dialect, ids: list[str]) -> list[str] | str:
    """The value of `among`."""
    return ids if dialect.name == "postgresql" else msgspec.json.encode(ids).decode()


def _fused(
    live: Mapping[str, _Live],
    by_meaning: Sequence[Hit],
    by_words: Sequence[Hit],
) -> list[Ranked]:
    cosine = {hit.passage_id: hit.score for hit in by_meaning if hit.passage_id in live}
    bm25 = {hit.passage_id: hit.score for hit in by_words if hit.passage_id in live}
    meaning, words = scaled(cosine), scaled(bm25)
    unlike = _unlike(meaning), _unlike(words)
    ranked = [
        Ranked(
            key,
            row.document_id,
            row.position,
            row.published_at,
            row.kind,
            score=DENSE_WEIGHT * meaning.get(key, unlike[0])
            + (1 - DENSE_WEIGHT) * words.get(key, unlike[1]),
            cosine=cosine.get(key),
            bm25=bm25.get(key),
        )
        for key, row in live.items()
    ]
    return sorted(ranked, key=lambda item: (-item.score, item.passage_id))


def _unlike(scores: Mapping[str, float]) -> float:
    """What counts for something that is no candidate: at most as much as the last one, however few there are."""
    return min(0.0, *scores.values()) if scores else 0.0


def scaled(scores: Mapping[str, float]) -> dict[str, float]:
    """1 for the best and 0 for the last of the first candidates, however many more there are.

    `scores` are in falling order. When all are equal, all are 1.
    """
    if not scores:
        return {}
    ordered = list(scores.values())
    high, low = ordered[0], ordered[min(len(ordered), _WIDTH) - 1]
    width = high - low
    return {key: (score - low) / width if width > 0 else 1.0 for key, score in scores.items()}


def by_document(ranking: Ranking) -> list[Ranked]:
    """For each document its best passage, documents in their order.

    A document is as near as its nearest passage and has the words of the passage with most of them,
    which need not be the same one (measured: docs/evaluation.md).
    """
    best: dict[str, Ranked] = {}
    for item in ranking.passages:
        best.setdefault(item.document_id, item)
    cosine, bm25 = (highest(ranking, name) for name in ("cosine", "bm25"))
    meaning, words = scaled(cosine), scaled(bm25)
    unlike = _unlike(meaning), _unlike(words)
    scored = [
        msgspec.structs.replace(
            item,
            score=DENSE_WEIGHT * meaning.get(key, unlike[0])
            + (1 - DENSE_WEIGHT) * words.get(key, unlike[1]),
        )
        for key, item in best.items()
    ]
    return sorted(scored, key=lambda item: (-item.score, item.document_id))


def highest(ranking: Ranking, name: str) -> dict[str, float]:
    """The highest score of each document, in falling order."""
    found: dict[str, float] = {}
    for item in ranking.passages:
        score = getattr(item, name)
        if score is not None and score > found.get(item.document_id, -1.0):
            found[item.document_id] = score
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
