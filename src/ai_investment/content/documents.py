"""Receiving, replacing, showing and deleting documents."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ai_investment.content.indexing import mark_seen
from ai_investment.content.jobs import extract_document, index_document, remove_vectors
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.revisions import next_revision
from ai_investment.db import Db, Read, db_now
from ai_investment.errors import NotFound
from ai_investment.ids import new_id
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import IS_LIVE, Job


class UnknownDocument(NotFound):
    title = "Unknown document"


class UnknownPassage(NotFound):
    title = "Unknown passage"


class Incoming(msgspec.Struct, frozen=True):
    """A file to take in; its bytes are already in the object store under `object_key`."""

    key: str
    name: str
    media_type: str | None
    object_key: str
    source: str
    title: str | None = None
    url: str | None = None


async def receive(db: Db, owner_id: str | None, incoming: Incoming) -> tuple[Document, Job | None]:
    """Take a document in, or a new version of one.

    These very bytes again: no job when they are searchable, the job of before while it lives.
    """
    document = await document_for(db, incoming.key, incoming.source)
    latest = await db.scalar(
        sa.select(DocumentVersion)
        .where(DocumentVersion.document_id == document.id)
        .order_by(DocumentVersion.number.desc())
        .limit(1)
    )
    same = latest is not None and latest.object_key == incoming.object_key
    if same and latest and document.source == incoming.source:
        if latest.state in ("indexed", "unchanged"):
            return document, None
        # On its way; without a live job (dead, cancelled) it is taken in once more.
        if job := await _job_of(db, latest.id):
            return document, job
    version = DocumentVersion(
        id=new_id("ver"),
        document_id=document.id,
        number=latest.number + 1 if latest else 1,
        state="received",
        name=incoming.name,
        media_type=incoming.media_type,
        object_key=incoming.object_key,
        title=(incoming.title or incoming.name)[:300],
        url=incoming.url,
        created_at=db_now(),
    )
    document.source, document.deleted_at = incoming.source, None
    document.updated_at = db_now()
    db.add(version)
    await db.flush()
    return document, await enqueue(db, owner_id, extract_document, version_id=version.id)


async def _job_of(db: Db, version_id: str) -> Job | None:
    kinds = (extract_document.name, index_document.name)
    return await db.scalar(
        sa.select(Job).where(
            Job.kind.in_(kinds), Job.args["version_id"].as_string() == version_id, IS_LIVE
        )
    )


async def delete(db: Db, document_id: str) -> None:
    """Withdraw a document: once this commits no retrieval returns it. Raises UnknownDocument."""
    document = await db.scalar(
        sa.select(Document).where(Document.id == document_id).with_for_update()
    )
    if document is None or document.deleted_at is not None:
        raise UnknownDocument(f"There is no document {document_id[:60]!r}.")
    document.live_version_id = None
    document.deleted_at = db_now()
    withdrawn = await db.scalars(
        sa.update(DocumentVersion)
        .where(DocumentVersion.document_id == document_id, DocumentVersion.state != "withdrawn")
        .values(state="withdrawn")
        .returning(DocumentVersion.id)
        .execution_options(synchronize_session=False)
    )
    for version_id in withdrawn.all():
        await enqueue(db, None, remove_vectors, version_id=version_id)
    # Last, so that the one row that all changes lock is held for a moment only.
    document.revision = await next_revision(db)
    await mark_seen(db, document.revision, sa.true())


class DocumentView(msgspec.Struct, frozen=True):
    """A document with its live words; while the first version is on its way, without them."""

    id: str
    title: str
    source: str
    state: str
    error: str | None
    url: str | None
    author: str | None
    topic: str | None
    level: str | None
    summary: str | None
    sources: list[dict[str, str]]
    published_at: datetime | None
    reviewed_on: date | None
    version: int
    text: str | None
    headings: list[dict[str, Any]]
    updated_at: datetime
    related: list[Related]


class Related(msgspec.Struct, frozen=True):
    id: str
    title: str
    topic: str | None


async def show(read: Read, document_id: str) -> DocumentView:
    """The document's live version, or its newest one while none is live. Raises UnknownDocument."""
    newest_first = sa.case((DocumentVersion.id == Document.live_version_id, 0), else_=1)
    query = (
        sa.select(Document.source, Document.updated_at, DocumentVersion)
        .join(DocumentVersion, DocumentVersion.document_id == Document.id)
        .where(Document.id == document_id, Document.deleted_at.is_(None))
        .order_by(newest_first, DocumentVersion.number.desc())
        .limit(1)
    )
    row = (await read.execute(query)).one_or_none()
    if row is None:
        raise UnknownDocument(f"There is no document {document_id[:60]!r}.")
    same = set(DocumentView.__struct_fields__) & set(row._fields) - {"id", "sources", "headings"}
    return DocumentView(
        **{field: getattr(row, field) for field in same},
        id=document_id,
        version=row.number,
        sources=row.sources or [],
        headings=row.headings or [],
        related=await _related(read, document_id, row.topic),
    )


async def _related(read: Read, document_id: str, topic: str | None) -> list[Related]:
    if topic is None:
        return []
    query = (
        sa.select(Document.id, DocumentVersion.title, DocumentVersion.topic)
        .join(DocumentVersion, DocumentVersion.id == Document.live_version_id)
        .where(DocumentVersion.topic == topic, Document.id != document_id)
        .order_by(DocumentVersion.title)
        .limit(5)
    )
    return [Related(*row) for row in await read.execute(query)]


class PassageView(msgspec.Struct, frozen=True):
    """A passage in its context. `text` is the document text from `start` to `end` (characters)."""

    id: str
    document_id: str
    title: str
    url: str | None
    source: str
    heading: str | None
    text: str
    start: int
    end: int
    before: str
    after: str
    version: int
    current: bool
    """False: the document has changed since; these are the words that were cited."""


async def show_passage(read: Read, passage_id: str, *, around: int = 400) -> PassageView:
    """A passage and up to `around` characters on each side. A deleted document's passage is unknown."""
    query = (
        sa.select(PassageRow, Document.source, Document.live_version_id, DocumentVersion.document_id,
                  DocumentVersion.title, DocumentVersion.url, DocumentVersion.number,
                  DocumentVersion.text.label("whole"))
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .join(Document, Document.id == DocumentVersion.document_id)
        .where(PassageRow.id == passage_id, Document.deleted_at.is_(None), DocumentVersion.state != "withdrawn")
    )  # fmt: skip
    row = (await read.execute(query)).one_or_none()
    if row is None:
        raise UnknownPassage(f"There is no passage {passage_id[:60]!r}.")
    same = set(PassageView.__struct_fields__) & set(row._fields)
    return PassageView(
        **{field: getattr(row, field) for field in same},
        version=row.number,
        current=row.version_id == row.live_version_id,
        before=_from_a_word(row.whole[max(0, row.start - around - 1) : row.start], around),
        after=_from_a_word(row.whole[row.end : row.end + around + 1][::-1], around)[::-1],
    )


def _from_a_word(text: str, most: int) -> str:
    """The end of `text`, at most `most` characters, without a word that would be cut at its start."""
    if len(text) <= most:
        return text
    kept = text[-most:]
    return kept if text[-most - 1].isspace() else kept[len(kept.split(None, 1)[0]) :].lstrip()


async def document_for(db: Db, key: str, source: str) -> Document:
    """The row of this key, locked; two senders of one new key get the same row."""
    found = sa.select(Document).where(Document.key == key).with_for_update()
    if document := await db.scalar(found):
        return document
    document = Document(
        id=new_id("doc"),
        key=key,
        source=source,
        created_at=db_now(),
        updated_at=db_now(),
    )
    try:
        async with db.begin_nested():
            db.add(document)
    except IntegrityError:
        document = (await db.scalars(found)).one()
    return document
