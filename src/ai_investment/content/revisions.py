"""The order of all changes to what is live: indexes beside SQL follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from ai_investment.compiled import Compiled
from ai_investment.content.models import ContentRevision, Document, DocumentVersion, PassageRow
from ai_investment.db import Database, Db, Read

_PAGE = 200
# Characters; the model reads 256 tokens.
_LEAD = 1500


class LivePassage(msgspec.Struct, frozen=True):
    """What an index needs of a passage: `words` are its text under its title and headings."""

    id: str
    words: str


class Change(msgspec.Struct, frozen=True):
    """A document as it is now: its live passages, none when it has been withdrawn, and how it begins."""

    revision: int
    document_id: str
    lead: str
    passages: list[LivePassage]


async def next_revision(db: Db) -> int:
    """The number of this transaction's change to what is live.

    The row stays locked until the commit: revisions become visible in their order, without gaps.
    """
    bump = (
        sa.update(ContentRevision)
        .values(revision=ContentRevision.revision + 1)
        .returning(ContentRevision.revision)
        .execution_options(synchronize_session=False)
    )
    return (await db.execute(bump)).scalar_one()


async def current_revision(database: Database) -> int:
    [(revision,)] = await database.alone(_current(database.engine.dialect))
    return cast("int", revision)


@cache
def _current(dialect: sa.Dialect) -> Compiled:
    return Compiled(sa.select(ContentRevision.revision), dialect)


async def changes_after(
    database: Database, revision: int, document_id: str = ""
) -> AsyncIterator[list[Change]]:
    """Pages of documents changed after that point, in order of (revision, document_id).

    Of a document that changed several times only its last change is there. From revision -1 on:
    everything that is live.
    """
    from_the_start = revision < 0
    while True:
        async with database.reading() as read:
            page = await _page(read, revision, document_id, live_only=from_the_start)
        if page:
            yield page
        if len(page) < _PAGE:
            return
        revision, document_id = page[-1].revision, page[-1].document_id


async def _page(read: Read, revision: int, document_id: str, *, live_only: bool) -> list[Change]:
    query = (
        _documents()
        .where(sa.tuple_(Document.revision, Document.id) > sa.tuple_(revision, document_id))
        .order_by(Document.revision, Document.id)
        .limit(_PAGE)
    )
    if live_only:
        query = query.where(Document.live_version_id.is_not(None))
    return await _as_they_are(read, query)


async def some_live(read: Read, which: sa.ColumnElement[bool], count: int) -> list[Change]:
    """Up to so many of these documents that are live and have passages, chosen by chance."""
    chosen = (
        sa.select(Document.id)
        .where(which, Document.live_version_id.is_not(None))
        .order_by(sa.func.random())
        .limit(count)
    )
    found = await _as_they_are(read, _documents().where(Document.id.in_(chosen)))
    return [change for change in found if change.passages]


def _documents() -> sa.Select[Any]:
    return sa.select(
        Document.id, Document.revision, Document.live_version_id, DocumentVersion.title,
        sa.func.substr(DocumentVersion.text, 1, _LEAD).label("beginning"),
    ).outerjoin(DocumentVersion, DocumentVersion.id == Document.live_version_id)  # fmt: skip


async def _as_they_are(read: Read, query: sa.Select[Any]) -> list[Change]:
    documents = (await read.execute(query)).all()
    live = {row.live_version_id: row.id for row in documents if row.live_version_id}
    passages: dict[str, list[LivePassage]] = {}
    for row in await read.execute(
        sa.select(
            PassageRow.version_id, PassageRow.id, DocumentVersion.title, PassageRow.heading, PassageRow.text
        )
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .where(PassageRow.version_id.in_(live))
        .order_by(PassageRow.version_id, PassageRow.position)
    ):  # fmt: skip
        words = passage_words(row.title, row.heading, row.text)
        passages.setdefault(live[row.version_id], []).append(LivePassage(row.id, words))
    return [
        Change(
            row.revision,
            row.id,
            lead_words(row.title or "", row.beginning or ""),
            passages.get(row.id, []),
        )
        for row in documents
    ]


def lead_words(title: str, text: str) -> str:
    """How a document begins: its title and as many words as an embedding model reads."""
    return passage_words(title, None, text[:_LEAD])


def passage_words(title: str, heading: str | None, text: str) -> str:
    """What is embedded and indexed for a passage: its words under the title and headings they stand under."""
    if heading and heading.split(" > ", 1)[0] == title:
        title = ""  # the first heading of many documents is their title
    return "\n".join(part for part in (title, heading, text) if part)
