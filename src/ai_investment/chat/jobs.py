"""Answering a message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from ai_investment.answers.models import Reader
from ai_investment.answers.safety.events import record
from ai_investment.answers.safety.verdicts import Exchange, Person, Verdict
from ai_investment.chat.models import Conversation, MessageRow
from ai_investment.chat.respond import Answering, respond
from ai_investment.content.query import Turn
from ai_investment.db import db_now
from ai_investment.errors import NotFound
from ai_investment.jobs.declare import job
from ai_investment.jobs.run import Run


class MessageGone(NotFound):
    """The conversation was deleted before its answer was ready."""

    title = "Message deleted"


@job("chat.answer_message", queue="answers", attempts=4, lease=15, priority=1, quota=20)
async def answer_message(run: Run[Answering], message_id: str) -> None:
    """Answer one message; running twice changes nothing."""
    verdict, reader, earlier = await _screen(run, message_id)
    await run.progress("searching")

    async def searched() -> None:
        await run.progress("writing")

    answer = await respond(
        message_id,
        verdict,
        earlier,
        reader,
        database=run.database,
        use=run.use,
        show=run.delta,
        searched=searched,
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
        await record(db, answer, run.job.owner_id, conversation_id)


# How far back the gate looks for distress and for what a short follow-up refers to.
_EXCHANGES = 6


async def _screen(run: Run[Answering], message_id: str) -> tuple[Verdict, Reader, list[Turn]]:
    """The gate's verdict on a message, given what was said before it, for whom the answer is, and those turns."""
    this = sa.select(MessageRow.conversation_id).where(MessageRow.id == message_id)
    query = (
        sa.select(
            MessageRow.id, MessageRow.text, MessageRow.flags, MessageRow.context, MessageRow.created_at,
            MessageRow.answer["outcome"].as_string().label("outcome"),
            MessageRow.answer["reason"].as_string().label("reason"),
            MessageRow.answer["text"].as_string().label("answer"),
        )
        .where(MessageRow.conversation_id == this.scalar_subquery(), MessageRow.id <= message_id)
        .order_by(MessageRow.id.desc())
        .limit(1 + _EXCHANGES)
    )  # fmt: skip
    async with run.database.reading() as read:
        rows = (await read.execute(query)).all()
    if not rows or rows[0].id != message_id:
        raise MessageGone("The conversation was deleted.")
    message, *earlier = rows
    history = [
        Exchange(row.text, row.outcome, row.reason, row.created_at) for row in reversed(earlier)
    ]
    context = message.context or {}
    person = Person(context.get("age"), context.get("country"))
    verdict = await asyncio.to_thread(
        run.use.gate.screen, message.text, history, person, message.flags or []
    )
    return verdict, Reader(run.job.owner_id, person.age), _turns(reversed(earlier))


def _turns(rows: Iterable[Any]) -> list[Turn]:
    """The conversation without what was refused: what stays unanswered is not what is spoken of."""
    turns: list[Turn] = []
    for row in rows:
        if row.outcome in ("answered", "abstained"):
            turns += [Turn(row.text, mine=True), Turn(row.answer or "", mine=False)]
    return turns
