"""What is made of a ranking before people read it: old news sinks, copies are shown once, no document crowds out others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from ai_investment.compiled import Compiled
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.ranking import Ranked, among, listed
from ai_investment.content.revisions import passage_words
from ai_investment.db import Database

# Of a score from 0 to 1: what the oldest news lose. Half of it after so many days.
_OLD_NEWS, _HALF_LIFE_DAYS = 0.2, 30
# Shared triples of words, of all that either has: Jaccard's index.
_SAME = 0.8
_FURTHER = 20
_TRUST = {"official": 2, "open": 0}
_OTHERWISE_TRUSTED = 1
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")


class Row(NamedTuple):
    """A passage with what is known of its document and version."""

    id: str
    document_id: str
    version: int
    title: str
    url: str | None
    published_at: datetime | None
    topic: str | None
    level: str | None
    source: str
    kind: str | None
    trust: str | None
    created_at: datetime
    heading: str | None
    text: str


class Shaped:
    """A ranked passage with its row: words, document, version."""

    def __init__(self, ranked: Ranked, row: Row) -> None:
        self.ranked = ranked
        self.row = row

    @cached_property
    def said(self) -> str:
        return passage_words(self.row.title, self.row.heading, self.row.text).casefold()

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self.said)

    @cached_property
    def triples(self) -> set[tuple[str, ...]]:
        words = self.words
        return set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)}

    @cached_property
    def numbers(self) -> set[str]:
        return {word for word in self.words if not word.isalpha() and _DIGIT.search(word)}

    def repeats(self, other: Shaped) -> bool:
        """Whether both say the same. With other numbers the same words are another year's report."""
        if self.numbers != other.numbers:
            return False
        fewer, more = sorted((len(self.words), len(other.words)))
        if fewer < _SAME * more - 2:  # so many triples cannot be shared
            return False
        shared = len(self.triples & other.triples)
        return shared >= _SAME * (len(self.triples) + len(other.triples) - shared)

    @property
    def standing(self) -> tuple[int, datetime]:
        """Of two copies the one with more of it is kept: trust, then date."""
        trust = _TRUST.get(self.row.trust or "", _OTHERWISE_TRUSTED)
        return trust, self.row.published_at or self.row.created_at


async def shape(
    database: Database, ranked: Sequence[Ranked], *, limit: int, a_document: int
) -> list[Shaped]:
    """The best `limit` that are still live, at most `a_document` of one document, with their words."""
    ordered = list(_at_most(aged(ranked, datetime.now(UTC)), a_document))
    kept: list[Shaped] = []
    # Copies rank close to each other; further down they are looked for only while too few are kept.
    size = limit + _FURTHER
    for start in range(0, len(ordered), size):
        page = ordered[start : start + size]
        rows = await _read(database, [item.passage_id for item in page])
        for item in page:
            if item.passage_id in rows:
                _keep(kept, Shaped(item, rows[item.passage_id]), limit)
        if len(kept) >= limit:
            break
    return kept


def aged(ranked: Sequence[Ranked], now: datetime) -> list[Ranked]:
    """In a new order: the score of news falls with their age; news without a date are old."""

    def freshened(item: Ranked) -> Ranked:
        if item.kind != "news":
            return item
        left = 0.0
        if item.published_at:
            days = max(0.0, (now - item.published_at).total_seconds() / 86400)
            left = 0.5 ** (days / _HALF_LIFE_DAYS)
        return msgspec.structs.replace(item, score=item.score - _OLD_NEWS * (1 - left))

    return sorted(map(freshened, ranked), key=lambda item: (-item.score, item.passage_id))


def _at_most(ranked: Sequence[Ranked], a_document: int) -> Iterator[Ranked]:
    seen: Counter[str] = Counter()
    for item in ranked:
        seen[item.document_id] += 1
        if seen[item.document_id] <= a_document:
            yield item


def _keep(kept: list[Shaped], item: Shaped, most: int) -> None:
    """Add it while there is room, unless it is a copy; the better of two copies takes the place of the first."""
    for place, known in enumerate(kept):
        if item.repeats(known):
            if item.standing > known.standing:
                kept[place] = item
            return
    if len(kept) < most:
        kept.append(item)


async def _read(database: Database, ids: list[str]) -> dict[str, Row]:
    dialect = database.engine.dialect
    rows = await database.alone(_of_passages(dialect), ids=listed(dialect, ids))
    return {row[0]: Row(*row) for row in rows}


@cache
def _of_passages(dialect: sa.Dialect) -> Compiled:
    query = (
        sa.select(
            PassageRow.id, DocumentVersion.document_id, DocumentVersion.number,
            DocumentVersion.title, DocumentVersion.url, DocumentVersion.published_at,
            DocumentVersion.topic, DocumentVersion.level, Document.source, Document.kind,
            Document.trust, Document.created_at, PassageRow.heading, PassageRow.text,
        )
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .join(Document, Document.live_version_id == DocumentVersion.id)
        .where(among(dialect, PassageRow.id), Document.deleted_at.is_(None))
    )  # fmt: skip
    return Compiled(query, dialect)
