"""What the gate stopped, for operators: who and when, never the words."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated

import msgspec
import sqlalchemy as sa
from litestar import get
from litestar.params import Parameter
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.answers.models import Answer
from ai_investment.db import Base, Db, Read, db_now
from ai_investment.http.cursors import Page, after, page
from ai_investment.identity.access import User
from ai_investment.ids import new_id

log = logging.getLogger(__name__)

_KEEP = 90 * 24 * 3600


class SafetyEvent(Base):
    """One answer that the gate refused or escalated."""

    __tablename__ = "safety_events"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    outcome: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str] = mapped_column(sa.String(20))
    owner_id: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    conversation_id: Mapped[str] = mapped_column(sa.String(40))
    message_id: Mapped[str] = mapped_column(sa.String(40))
    created_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (sa.Index("ix_safety_events_reason", "reason", "id"),)


class SafetyEventView(msgspec.Struct, frozen=True):
    id: str
    outcome: str
    reason: str
    owner_id: str | None
    conversation_id: str
    message_id: str
    created_at: datetime


async def record(db: Db, answer: Answer, owner_id: str | None, conversation_id: str) -> None:
    """Make a refusal or a message of distress known to operators, in the answer's own transaction.

    What is past its time goes when something new comes.
    """
    if answer.outcome not in ("refused", "escalated") or answer.reason is None:
        return
    event = SafetyEvent(
        id=new_id("evt"),
        outcome=answer.outcome,
        reason=answer.reason,
        owner_id=owner_id,
        conversation_id=conversation_id,
        message_id=answer.message_id,
        created_at=db_now(),
    )
    await db.execute(sa.delete(SafetyEvent).where(SafetyEvent.created_at < db_now(-_KEEP)))
    db.add(event)
    level = logging.WARNING if answer.outcome == "escalated" else logging.INFO
    words = {"outcome": answer.outcome, "reason": answer.reason, "message_id": answer.message_id}
    log.log(level, "safety", extra=words)


@get("/admin/safety/events", operation_id="ListSafetyEvents", tags=["Operations"],
     summary="What the gate stopped, newest first; ?reason=crisis for messages of distress")  # fmt: skip
async def list_safety_events(
    read: Read,
    user: User,
    reason: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
) -> Page[SafetyEventView]:
    user.need_admin()
    columns = [getattr(SafetyEvent, field) for field in SafetyEventView.__struct_fields__]
    query = sa.select(*columns)
    if reason is not None:
        query = query.where(SafetyEvent.reason == reason)
    rows = (await read.execute(after(query, SafetyEvent.id, cursor).limit(limit + 1))).all()
    return page([SafetyEventView(*row) for row in rows], limit)


routes = [list_safety_events]
