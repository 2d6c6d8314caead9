"""Answering a message."""

from __future__ import annotations

from typing import Protocol

import msgspec
import sqlalchemy as sa

from ai_investment.answers.answer import answer_question
from ai_investment.answers.models import Answerer
from ai_investment.chat.models import Conversation, MessageRow
from ai_investment.content.find import Passage, find_passages
from ai_investment.content.vectors import Embedder, Vectors
from ai_investment.db import db_now
from ai_investment.errors import NotFound
from ai_investment.jobs.declare import job
from ai_investment.jobs.run import Run


class Answering(Protocol):
    """What the answers worker provides."""

    embedder: Embedder
    vectors: Vectors
    answerer: Answerer


class MessageGone(NotFound):
    """The conversation was deleted before its answer was ready."""

    title = "Message deleted"


@job("chat.answer_message", queue="answers", attempts=4, lease=15, priority=1, quota=20)
async def answer_message(run: Run[Answering], message_id: str) -> None:
    """Answer one message; running twice changes nothing."""
    async with run.database.reading() as read:
        question = (
            await read.execute(sa.select(MessageRow.text).where(MessageRow.id == message_id))
        ).scalar_one_or_none()
    if question is None:
        raise MessageGone("The conversation was deleted.")
    await run.progress("searching")

    async def find(text: str) -> list[Passage]:
        found = await find_passages(run.database, run.use.embedder, run.use.vectors, text)
        await run.progress("writing")
        return found

    answer = await answer_question(
        message_id, question, find=find, answerer=run.use.answerer, show=run.delta
    )
    async with run.settle(answer) as db:
        stored = await db.execute(
            sa.update(MessageRow)
            .where(MessageRow.id == message_id)
            .values(answer=msgspec.to_builtins(answer), answered_at=db_now())
            .returning(MessageRow.conversation_id)
            .execution_options(synchronize_session=False)
        )
        if (conversation_id := stored.scalar_one_or_none()) is None:
            raise MessageGone("The conversation was deleted.")
        await db.execute(
            sa.update(Conversation)
            .where(Conversation.id == conversation_id)
            .values(updated_at=db_now())
        )
