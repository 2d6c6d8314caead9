"""Documents, their versions, the passages they are cited by, and which vector collection serves."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base


class Document(Base):
    """Something people may read and answers may cite. Its words live in versions; one of them is live."""

    __tablename__ = "documents"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(500), unique=True)
    """What the sender calls it; sending the same key again replaces the document."""
    source: Mapped[str] = mapped_column(sa.String(200))
    """Who publishes it, as shown in citations."""
    live_version_id: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    """The version that retrieval returns; null until the first one is indexed."""
    revision: Mapped[int] = mapped_column(sa.BigInteger, server_default="0", index=True)
    """The content revision that last changed what is live of it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """From then on no retrieval returns it."""
    source_id: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    """The source that brought it; null: somebody sent it."""
    trust: Mapped[str | None] = mapped_column(sa.String(20))
    """official, established or open, as its source says."""
    audience: Mapped[str | None] = mapped_column(sa.String(10))
    """everyone, teen (13+) or adult, as its source says; null: everyone."""
    kind: Mapped[str | None] = mapped_column(sa.String(10))
    """article, news, filing or figures, as its source says; null: it was sent in."""


class DocumentVersion(Base):
    """One state of a document. States: received -> extracted -> indexed, failed, withdrawn, or unchanged
    (the same words as the live version: kept for its bytes, never indexed)."""

    __tablename__ = "document_versions"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    document_id: Mapped[str] = mapped_column(sa.ForeignKey("documents.id"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(10))
    error: Mapped[str | None] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.String(300))
    media_type: Mapped[str | None] = mapped_column(sa.String(100))
    object_key: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 of the received bytes, and their name in the object store."""
    title: Mapped[str] = mapped_column(sa.String(300))
    url: Mapped[str | None] = mapped_column(sa.Text)
    author: Mapped[str | None] = mapped_column(sa.String(300))
    language: Mapped[str | None] = mapped_column(sa.String(20))
    topic: Mapped[str | None] = mapped_column(sa.String(40))
    level: Mapped[str | None] = mapped_column(sa.String(20))
    summary: Mapped[str | None] = mapped_column(sa.Text)
    sources: Mapped[list[Any] | None]
    published_at: Mapped[datetime | None]
    reviewed_on: Mapped[date | None]
    text: Mapped[str | None] = mapped_column(sa.Text)
    """The extracted text; every offset points into exactly this."""
    headings: Mapped[list[Any] | None]
    fingerprint: Mapped[str | None] = mapped_column(sa.String(64))
    """SHA-256 of title and text: versions with the same one are embedded once."""
    grade: Mapped[float | None]
    """The school grade (US) that the text asks of its readers, by the Coleman-Liau index."""
    key_terms: Mapped[list[Any] | None]
    """Terms of the field that the text is about, the most frequent first."""
    created_at: Mapped[datetime]

    __table_args__ = (sa.UniqueConstraint("document_id", "number"),)


class PassageRow(Base):
    """A citable stretch of a version: `text` is the version's text from `start` to `end` (characters)."""

    __tablename__ = "passages"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    """Derived from version, start and end, so that indexing twice gives the same ids."""
    version_id: Mapped[str] = mapped_column(sa.ForeignKey("document_versions.id"), index=True)
    position: Mapped[int]
    start: Mapped[int]
    end: Mapped[int]
    heading: Mapped[str | None] = mapped_column(sa.Text)
    text: Mapped[str] = mapped_column(sa.Text)


class VectorCollection(Base):
    """A collection in Chroma. Its name says what is inside. It is built, serves, and is retired.

    Only workers of its model write to it; one serves per model (docs/decisions/0007).
    """

    __tablename__ = "vector_collections"

    name: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    model: Mapped[str] = mapped_column(sa.String(100))
    dimension: Mapped[int]
    generation: Mapped[int]
    serving: Mapped[bool]
    seen_revision: Mapped[int] = mapped_column(sa.BigInteger, server_default="-1")
    """Every change up to this content revision is in the collection."""
    seen_document: Mapped[str] = mapped_column(sa.String(40), server_default="")
    """While it is built: the documents of the next revision up to this one are in it too."""
    created_at: Mapped[datetime]
    kept_at: Mapped[datetime | None]
    """When a worker of its model last looked after it."""
    retired_at: Mapped[datetime | None]
    """From then on nobody asks it or writes to it; the row goes when the store has dropped it."""
    checked_at: Mapped[datetime | None]
    """When live passages were last asked for by their own words."""
    lost: Mapped[int | None]
    """How many of them were not found; 0 when they are few enough for an approximate search."""


class ContentRevision(Base):
    """One row: how often what is live has changed. Its lock puts the changes in one order."""

    __tablename__ = "content_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(sa.BigInteger)
