"""Conversations and their exchanges."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base


class Conversation(Base):
    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(sa.String(40), index=True)
    title: Mapped[str] = mapped_column(sa.String(120))
    """The beginning of its first question."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class MessageRow(Base):
    """One exchange: what was asked, and the answer once its job has written it."""

    __tablename__ = "messages"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(
        sa.ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str] = mapped_column(sa.Text)
    """Without personal data; without any words when the writer is under 13."""
    flags: Mapped[list[Any] | None]
    """What the safety gate noted when the message came in."""
    context: Mapped[dict[str, Any] | None]
    job_id: Mapped[str | None] = mapped_column(sa.String(40))
    answer: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    rating: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """What the person thinks of the answer, 1 to 5."""
    comment: Mapped[str | None] = mapped_column(sa.Text)
