"""The job row: the truth about every piece of work that was accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = (
    "queued",
    "running",
    "succeeded",
    "failed",
    "cancelled",
)
TERMINAL = (SUCCEEDED, FAILED, CANCELLED)


_WHERE_QUEUED = sa.text("state = 'queued'")
IS_LIVE_AND_UNIQUE = sa.text("state IN ('queued', 'running') AND unique_key IS NOT NULL")


class Job(Base):
    """One piece of work. States: queued -> running -> succeeded | failed | cancelled.

    A retry or a lost lease goes back from running to queued; only an operator's retry leaves a terminal state.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(80))
    queue: Mapped[str] = mapped_column(sa.String(40))
    owner_id: Mapped[str | None] = mapped_column(sa.String(40))
    """Who may see it; null: the system's own work, for operators only."""
    args: Mapped[dict[str, Any]]
    """Ids and small values, never payloads or secrets."""
    state: Mapped[str] = mapped_column(sa.String(12), default=QUEUED)
    attempt: Mapped[int] = mapped_column(default=0)
    """Raised by a claim; given back by a release at shutdown and by `Later`."""
    max_attempts: Mapped[int]
    crashes: Mapped[int] = mapped_column(server_default="0")
    """How often a worker has vanished while it ran this: the job may be what killed it."""
    priority: Mapped[int] = mapped_column(server_default="5")
    """0 first, 9 last; only within a queue."""
    turn: Mapped[float] = mapped_column(server_default="0")
    """Start tag of fair queueing: the moment of acceptance, or one virtual second after the owner's
    last waiting job if that is later. A flooder's jobs stand behind each other, not before other people's."""
    unique_key: Mapped[str | None] = mapped_column(sa.String(300))
    """At most one live job has it; it ends with the job, not with the job's result."""
    lease_seconds: Mapped[int]
    fence: Mapped[int] = mapped_column(default=0)
    """Raised by every claim; a write of an older claim matches no row."""
    lease_until: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=0)
    """Raised by every change that a reader can see: the ETag."""
    run_at: Mapped[datetime]
    """Not before this time."""
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    """A problem object. Kept from the last attempt while a retry waits."""
    dead: Mapped[bool] = mapped_column(default=False)
    """Dead letter: failed by using up its attempts, not by its own verdict."""
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    traceparent: Mapped[str | None] = mapped_column(sa.String(55))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    """The latest claim."""
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('queued','running','succeeded','failed','cancelled')", name="state"
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name="lease_has_owner"
        ),
        sa.Index(
            "ix_jobs_waiting",
            "queue",
            "run_at",
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        ),
        sa.Index(
            "ix_jobs_leased",
            "lease_until",
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        ),
        sa.Index(
            "ix_jobs_next",
            "queue",
            "priority",
            "turn",
            sqlite_where=_WHERE_QUEUED,
            postgresql_where=_WHERE_QUEUED,
        ),
        sa.Index(
            "ix_jobs_turn",
            "owner_id",
            "queue",
            "turn",
            sqlite_where=_WHERE_QUEUED,
            postgresql_where=_WHERE_QUEUED,
        ),
        sa.Index(
            "ix_jobs_unique_live",
            "unique_key",
            unique=True,
            sqlite_where=IS_LIVE_AND_UNIQUE,
            postgresql_where=IS_LIVE_AND_UNIQUE,
        ),
        sa.Index("ix_jobs_finished", "finished_at"),
        sa.Index("ix_jobs_owner", "owner_id", "id"),
        sa.Index("ix_jobs_kind_state", "kind", "state"),
    )


# Written out in the statement, not sent as a parameter: with one, PostgreSQL's planner cannot know that
# a partial index fits, and reads the table.
IS_QUEUED = Job.state == sa.literal_column("'queued'")
IS_RUNNING = Job.state == sa.literal_column("'running'")
IS_LIVE = Job.state.in_([sa.literal_column("'queued'"), sa.literal_column("'running'")])
