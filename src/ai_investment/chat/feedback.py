"""What a person thinks of an answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
import sqlalchemy as sa
from litestar import post

from ai_investment.answers.safety.intake import receive
from ai_investment.chat.models import Conversation, MessageRow
from ai_investment.db import Db
from ai_investment.errors import NotFound, Problem
from ai_investment.identity.access import User


class UnknownMessage(NotFound):
    title = "Unknown message"


class NotAnswered(Problem):
    """There is nothing to rate yet."""

    status, title = 409, "Not answered yet"


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From 1 (no help at all) to 5 (very helpful)."""

    rating: Annotated[int, msgspec.Meta(ge=1, le=5)]
    comment: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


@post(
    "/chat/messages/{message_id:str}/feedback",
    status_code=200,
    operation_id="GiveFeedback",
    tags=["Chat"],
    summary="Rate an answer of one's own; the last rating counts",
)
async def give_feedback(db: Db, user: User, message_id: str, data: Feedback) -> Feedback:
    # Kept like a message: without personal data.
    comment = receive(data.comment).text if data.comment else None
    mine = sa.select(Conversation.id).where(Conversation.owner_id == user.id)
    row = (
        await db.execute(
            sa.update(MessageRow)
            .where(MessageRow.id == message_id, MessageRow.conversation_id.in_(mine))
            .values(rating=data.rating, comment=comment)
            .returning(MessageRow.answered_at)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()
    if row is None:
        raise UnknownMessage(f"There is no message {message_id[:60]!r} of yours.")
    if row.answered_at is None:
        raise NotAnswered("Wait for the answer, then rate it.")
    return Feedback(data.rating, comment)
