"""`GET /content/search`: documents for a few words, each with its best passage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.params import Parameter

from ai_investment.content.dense import Dense
from ai_investment.content.lexical import Follower
from ai_investment.content.query import LONGEST, Question
from ai_investment.content.ranking import Filters, by_document, rank
from ai_investment.content.shaping import Shaped, shape
from ai_investment.db import Database
from ai_investment.errors import Fault, Malformed
from ai_investment.identity.access import User

# Whoever has not found it among so many asks in other words.
MOST = 100
# Live passages looked for: the same for every page, so that pages fit together.
_CANDIDATES = 60
# Below it and without a word in common a passage is about something else.
_UNRELATED = 0.25
_EXTRACT = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_END = re.compile(r"[.!?]\s+|\n+")


@dataclass(frozen=True)
class Searcher:
    """What a search needs of its process."""

    database: Database
    dense: Dense
    lexical: Follower


class BestPassage(msgspec.Struct, frozen=True):
    """`text` is an extract of about 300 characters; `GET /content/passages/{passage_id}` has the whole."""

    passage_id: str
    text: str
    heading: str | None


class SearchItem(msgspec.Struct, frozen=True):
    """A document. `score` (0 to 1) orders the items of one search and compares with no other search's."""

    document_id: str
    title: str
    url: str | None
    source: str
    published_at: datetime | None
    topic: str | None
    level: str | None
    type: str
    score: float
    passage: BestPassage


class SearchPage(msgspec.Struct, frozen=True):
    """`degraded` names what did not answer in time: `dense` (by words alone), `lexical` (words may lag behind)."""

    items: list[SearchItem]
    next_cursor: str | None
    degraded: list[str]


@get("/content/search", operation_id="SearchContent", tags=["Content"],
     summary="Documents by meaning and words, best first, each with its best passage")  # fmt: skip
async def search_content(
    user: User,
    searcher: Searcher,
    q: Annotated[str, Parameter(min_length=1, max_length=LONGEST)],
    topic: Annotated[str | None, Parameter(max_length=40)] = None,
    level: Annotated[str | None, Parameter(max_length=20)] = None,
    type: Literal["article", "news", "filing", "figures", ""] | None = None,  # noqa: A002 - the field's name
    age: Annotated[
        int | None,
        Parameter(ge=0, le=130, description="The reader's. Without it: what is for everyone."),
    ] = None,
    limit: Annotated[int, Parameter(ge=1, le=50)] = 20,
    cursor: str | None = None,
) -> SearchPage:
    words = " ".join(_CONTROL.sub(" ", q).split())
    if not words:
        raise Malformed("The query is empty.", errors=[Fault("query/q", "no visible characters")])
    # A form sends its empty fields along.
    filters = Filters(topic or None, level or None, type or None, age)
    return await search(searcher, Question(words), filters, limit, _place(cursor))


async def search(
    searcher: Searcher, question: Question, filters: Filters, limit: int, first: int
) -> SearchPage:
    """A page of `limit` documents from the place `first` on."""
    database, lexical = searcher.database, searcher.lexical
    ranking = await rank(
        database, searcher.dense, lexical, question, filters=filters, enough=_CANDIDATES
    )
    related = [
        item
        for item in by_document(ranking)
        if item.bm25 is not None or (item.cosine or 0.0) >= _UNRELATED
    ]
    last = min(first + limit, MOST)
    found = await shape(database, related, limit=last + 1, a_document=1)
    wanted = set(lexical.index.terms(question.text))
    return SearchPage(
        [_item(shaped, wanted) for shaped in found[first:last]],
        str(last) if len(found) > last and last < MOST else None,
        ranking.degraded,
    )


def _place(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not re.fullmatch(r"[1-9]\d?", cursor, re.ASCII):
        raise Malformed(
            "The cursor is not one that this server gave.",
            errors=[Fault("query/cursor", "not a cursor")],
        )
    return int(cursor)


def _item(shaped: Shaped, wanted: set[str]) -> SearchItem:
    row = shaped.row
    return SearchItem(
        document_id=row.document_id,
        title=row.title,
        url=row.url,
        source=row.source,
        published_at=row.published_at,
        topic=row.topic,
        level=row.level,
        type=row.kind or "article",
        score=round(min(1.0, max(0.0, shaped.ranked.score)), 4),
        passage=BestPassage(row.id, extract(row.text, wanted), row.heading),
    )


def extract(text: str, wanted: set[str]) -> str:
    """About 300 characters of a longer text: the sentence with most of the wanted terms, and those around it."""
    if len(text) <= _EXTRACT:
        return text
    ends = [match.end() for match in _END.finditer(text)]
    sentences = list(pairwise([0, *ends, len(text)]))
    # A term is a word without its ending, whose last letter may be another: happi, happy.
    roots = [term[: max(3, len(term) - 1)] for term in wanted if len(term) > 2]
    folded = [text[start:end].casefold() for start, end in sentences]
    first = last = max(
        range(len(sentences)), key=lambda one: sum(root in folded[one] for root in roots)
    )
    while last + 1 < len(sentences) and sentences[last + 1][1] - sentences[first][0] <= _EXTRACT:
        last += 1
    while first and sentences[last][1] - sentences[first - 1][0] <= _EXTRACT:
        first -= 1
    start, end = sentences[first][0], sentences[last][1]
    if end - start > _EXTRACT:
        cut = text.rfind(" ", start, start + _EXTRACT)
        end = cut if cut > start else start + _EXTRACT
    before, after = "… " if start else "", " …" if end < len(text) else ""
    return f"{before}{text[start:end].strip()}{after}"
