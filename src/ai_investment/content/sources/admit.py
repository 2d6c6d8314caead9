"""Taking a text into the library: new, changed, unchanged, or the twin of another document."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from ai_investment.content.documents import document_for
from ai_investment.content.extraction import Extracted
from ai_investment.content.jobs import index_document, text_columns
from ai_investment.content.models import Document, DocumentVersion
from ai_investment.content.reading import Study
from ai_investment.content.sources.models import DocumentBand, Source
from ai_investment.db import Db, db_now
from ai_investment.ids import new_id
from ai_investment.jobs.enqueue import enqueue

# Of the three-word sequences of both texts, the share that must be in both.
_SAME = 0.9
_MOST_CANDIDATES = 5
# What the documents of a kind of source are; of all other kinds: articles.
_KINDS = {"news": "news", "sec_filings": "filing", "sec_facts": "figures"}


class Arrival(msgspec.Struct, frozen=True):
    """A text that passed the checks, with the file it came from. `key` names its document."""

    key: str
    name: str
    media_type: str | None
    object_key: str
    url: str | None
    title: str
    extracted: Extracted
    study: Study


class Admitted(msgspec.Struct, frozen=True):
    """`twin_id`: the other document that says the same; then nothing was written."""

    outcome: Literal["new", "changed", "unchanged", "twin"]
    document_id: str | None
    twin_id: str | None = None


async def admit(db: Db, source: Source, arrival: Arrival) -> Admitted:
    """Store a text as the newest version of its document unless it says nothing new."""
    columns = text_columns(arrival.extracted, arrival.study, title=arrival.title, url=arrival.url)
    columns["url"] = arrival.url
    known = await db.scalar(sa.select(Document).where(Document.key == arrival.key))
    latest = await _latest(db, known.id) if known and known.deleted_at is None else None
    if latest is not None and latest.fingerprint == columns["fingerprint"]:
        return Admitted("unchanged", latest.document_id)
    twin = await _twin(db, arrival, known.id if known else None)
    if twin is not None:
        return Admitted("twin", None, twin)
    document = await document_for(db, arrival.key, source.publisher)
    await _store(db, source, document, arrival, columns)
    return Admitted("changed" if latest else "new", document.id)


async def _latest(db: Db, document_id: str) -> DocumentVersion | None:
    """The newest version with words that is live or on its way to be."""
    return await db.scalar(
        sa.select(DocumentVersion)
        .where(
            DocumentVersion.document_id == document_id,
            DocumentVersion.state.in_(("extracted", "indexed")),
        )
        .order_by(DocumentVersion.number.desc())
        .limit(1)
    )


async def _store(
    db: Db, source: Source, document: Document, arrival: Arrival, columns: dict[str, Any]
) -> None:
    newest = sa.select(sa.func.max(DocumentVersion.number)).where(
        DocumentVersion.document_id == document.id
    )
    version = DocumentVersion(
        id=new_id("ver"),
        document_id=document.id,
        number=(await db.scalar(newest) or 0) + 1,
        state="extracted",
        name=arrival.name[:300],
        media_type=arrival.media_type,
        object_key=arrival.object_key,
        created_at=db_now(),
        **columns,
    )
    db.add(version)
    document.source, document.source_id = source.publisher, source.id
    document.trust, document.audience = source.trust, source.audience
    document.kind = _KINDS.get(source.kind, "article")
    document.deleted_at, document.updated_at = None, db_now()
    await db.execute(sa.delete(DocumentBand).where(DocumentBand.document_id == document.id))
    rows = [{"document_id": document.id, "band": band} for band in set(arrival.study.bands)]
    await db.flush()
    await db.execute(sa.insert(DocumentBand), rows)
    await enqueue(db, None, index_document, version_id=version.id)


async def _twin(db: Db, arrival: Arrival, own_id: str | None) -> str | None:
    """Another document with the same words and exactly the same numbers.

    Statements of central banks and filings repeat most of their words from one to the next; what is new in
    them is the numbers.
    """
    candidates = (
        sa.select(DocumentBand.document_id)
        .join(Document, Document.id == DocumentBand.document_id)
        .where(
            DocumentBand.band.in_(arrival.study.bands),
            Document.deleted_at.is_(None),
            DocumentBand.document_id != (own_id or ""),
        )
        .group_by(DocumentBand.document_id)
        .order_by(sa.func.count().desc(), DocumentBand.document_id)
        .limit(_MOST_CANDIDATES)
    )
    for document_id in (await db.scalars(candidates)).all():
        version = await _latest(db, document_id)
        if version and version.text and _say_the_same(arrival.extracted.text, version.text):
            return document_id
    return None


def _say_the_same(one: str, other: str) -> bool:
    if _numbers(one) != _numbers(other):
        return False
    a, b = _shingles(one), _shingles(other)
    return len(a & b) >= _SAME * len(a | b)


def _numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d[\d.,]*", text))


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + 3]) for at in range(max(1, len(words) - 2))}
