"""Where content comes from by itself: sources, their runs, and what each page of them was last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base


class Source(Base):
    """A place that is looked at on a schedule. States: active, paused."""

    __tablename__ = "sources"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    url: Mapped[str] = mapped_column(sa.Text)
    """A URL; for `folder` the name of a folder below the data directory's `folders`."""
    publisher: Mapped[str] = mapped_column(sa.String(200))
    """Who stands behind the words, as shown in citations."""
    licence: Mapped[str] = mapped_column(sa.Text)
    """Under which terms the words may be kept and quoted."""
    trust: Mapped[str] = mapped_column(sa.String(20))
    audience: Mapped[str] = mapped_column(sa.String(10))
    schedule: Mapped[str] = mapped_column(sa.String(100))
    """Five cron fields, in UTC."""
    options: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(sa.String(10))
    paused_because: Mapped[str | None] = mapped_column(sa.Text)
    failures: Mapped[int] = mapped_column(default=0)
    """Failed runs in a row."""
    next_run_at: Mapped[datetime]
    listing_etag: Mapped[str | None] = mapped_column(sa.String(300))
    """With `listing_modified`: of the listing that the last finished run has worked off."""
    listing_modified: Mapped[str | None] = mapped_column(sa.String(300))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (sa.Index("ix_sources_due", "state", "next_run_at"),)


class SourceRun(Base):
    """One look at a source. States: running, succeeded, failed."""

    __tablename__ = "source_runs"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    source_id: Mapped[str] = mapped_column(
        sa.ForeignKey("sources.id", ondelete="CASCADE"), index=True
    )
    job_id: Mapped[str] = mapped_column(sa.String(40))
    """The job that works on it; a run that was broken off is taken over by the next job."""
    everything: Mapped[bool]
    """A back-fill: all that the source has, not only the newest."""
    state: Mapped[str] = mapped_column(sa.String(10))
    error: Mapped[str | None] = mapped_column(sa.Text)
    counts: Mapped[dict[str, Any] | None]
    reasons: Mapped[dict[str, Any] | None]
    """Why items were rejected or failed: reason to number."""
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class SourceItem(Base):
    """A page, filing, file or feed item of a source, and what the last run that looked at it found."""

    __tablename__ = "source_items"

    source_id: Mapped[str] = mapped_column(
        sa.ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """SHA-256 of its URL in normal form (or of what stands for one)."""
    url: Mapped[str] = mapped_column(sa.Text)
    document_id: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    twin_id: Mapped[str | None] = mapped_column(sa.String(40))
    """The document that says the same, when this one was rejected for that."""
    etag: Mapped[str | None] = mapped_column(sa.String(300))
    last_modified: Mapped[str | None] = mapped_column(sa.String(300))
    outcome: Mapped[str] = mapped_column(sa.String(10))
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    run_id: Mapped[str] = mapped_column(sa.String(40))
    checked_at: Mapped[datetime]
    published_at: Mapped[datetime | None]

    __table_args__ = (sa.Index("ix_source_items_run", "run_id", "outcome"),)


class DocumentBand(Base):
    """A hash that documents with nearly the same words have in common."""

    __tablename__ = "document_bands"

    document_id: Mapped[str] = mapped_column(
        sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True
    )
    band: Mapped[str] = mapped_column(sa.String(16), primary_key=True)

    __table_args__ = (sa.Index("ix_document_bands_band", "band"),)
