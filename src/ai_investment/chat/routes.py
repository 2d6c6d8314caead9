"""/chat: ask, read conversations, delete them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from litestar import Request, delete, get, post
from litestar.params import Parameter

from ai_investment.answers.safety.ages import YOUNGEST
from ai_investment.answers.safety.intake import Received, receive
from ai_investment.chat.feedback import give_feedback
from ai_investment.chat.jobs import answer_message
from ai_investment.chat.models import Conversation, MessageRow
from ai_investment.db import Db, Read, db_now, outbox
from ai_investment.errors import Fault, Malformed, NotFound, Problem
from ai_investment.http.cursors import Page, after, page
from ai_investment.http.idempotency import once
from ai_investment.identity.access import User
from ai_investment.ids import new_id
from ai_investment.jobs.enqueue import Forget, enqueue
from ai_investment.jobs.models import Job
from ai_investment.jobs.routes import Accepted, JobView

MAX_MESSAGE = 4000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029]")


_GROWN_UP_NEEDED = (
    "Under 13, a parent or guardian has to set this up with you. If something worries you or somebody hurts "
    "you, a children's helpline listens for free: find yours at https://findahelpline.com."
)


class UnknownConversation(NotFound):
    title = "Unknown conversation"


class UnderAge(Problem):
    """Children under 13 cannot chat, and nothing they sent is stored."""

    status, title = 403, "A grown-up is needed"


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the person told about themselves, to fit the words of the answer."""

    age: Annotated[int, msgspec.Meta(ge=0, le=130)] | None = None
    experience_level: Literal["beginner", "intermediate", "advanced"] | None = None
    risk_tolerance: Literal["low", "medium", "high"] | None = None
    budget: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] | None = None
    """ISO 3166 alpha-2: whose help lines to name to somebody in distress."""


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_MESSAGE)]
    conversation_id: str | None = None
    context: Context | None = None


class MessageAccepted(msgspec.Struct):
    job: JobView
    conversation_id: str
    message_id: str


class MessageView(msgspec.Struct, frozen=True):
    """One exchange; `answer` is null until its job has ended."""

    id: str
    text: str
    job_id: str | None
    answer: dict[str, Any] | None
    created_at: datetime
    answered_at: datetime | None


class ConversationView(msgspec.Struct, frozen=True):
    id: str
    title: str
    created_at: datetime
    updated_at: datetime


class ConversationWithMessages(msgspec.Struct, frozen=True):
    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    messages: list[MessageView]


@post("/chat/messages", status_code=202, operation_id="AskQuestion", tags=["Chat"],
      summary="Ask; the answer is the job's result")  # fmt: skip
async def ask(request: Request[Any, Any, Any], db: Db, user: User, data: NewMessage) -> Accepted:
    words = _CONTROL.sub(" ", data.message).strip()
    if not words:
        raise Malformed(
            "The message is empty.", errors=[Fault("#/message", "no visible characters")]
        )
    age = data.context.age if data.context else None
    received = receive(words, age)
    # A child in distress is answered with help, of which nothing but that is kept.
    if age is not None and age < YOUNGEST and received.flags == ["under_age"]:
        raise UnderAge(_GROWN_UP_NEEDED)
    async with once(request, db, user.id) as answer:
        conversation_id = await _conversation(db, user, data.conversation_id, received.text)
        message = MessageRow(
            id=new_id("msg"),
            conversation_id=conversation_id,
            text=received.text,
            flags=received.flags,
            context=_context(request, data.context, received),
            created_at=db_now(),
        )
        db.add(message)
        job = await enqueue(db, user.id, answer_message, message_id=message.id)
        message.job_id = job.id
        return answer.done(
            Accepted(request, job, conversation_id=conversation_id, message_id=message.id)
        )


_REGION = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{4})?-([A-Z]{2})\b")


def _context(
    request: Request[Any, Any, Any], told: Context | None, received: Received
) -> dict[str, Any] | None:
    """What is stored of the context; the country is that of the browser's language unless told."""
    context: dict[str, Any] = msgspec.to_builtins(told) if told else {}
    if "under_age" in received.flags:
        context = {"country": context.get("country")}
    region = _REGION.match(request.headers.get("accept-language", ""))
    if region and not context.get("country"):
        context["country"] = region[1]
    return context or None


async def _conversation(db: Db, user: User, wanted: str | None, text: str) -> str:
    if wanted is not None:
        owned = sa.select(Conversation.id).where(
            Conversation.id == wanted, Conversation.owner_id == user.id
        )
        if await db.scalar(owned) is None:
            raise UnknownConversation(f"There is no conversation {wanted[:60]!r} of yours.")
        return wanted
    conversation = Conversation(
        id=new_id("cnv"),
        owner_id=user.id,
        title=text[:80],
        created_at=db_now(),
        updated_at=db_now(),
    )
    db.add(conversation)
    await db.flush()
    return conversation.id


@get(
    "/chat/conversations",
    operation_id="ListConversations",
    tags=["Chat"],
    summary="One's own, newest first",
)
async def list_conversations(
    read: Read,
    user: User,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
) -> Page[ConversationView]:
    query = sa.select(
        Conversation.id, Conversation.title, Conversation.created_at, Conversation.updated_at
    ).where(Conversation.owner_id == user.id)
    rows = (await read.execute(after(query, Conversation.id, cursor).limit(limit + 1))).all()
    return page([ConversationView(*row[:4]) for row in rows], limit)


@get("/chat/conversations/{conversation_id:str}", operation_id="GetConversation", tags=["Chat"],
     summary="A conversation with its messages, oldest first")  # fmt: skip
async def get_conversation(
    read: Read, user: User, conversation_id: str
) -> ConversationWithMessages:
    query = sa.select(
        Conversation.id, Conversation.title, Conversation.created_at, Conversation.updated_at
    ).where(Conversation.id == conversation_id, Conversation.owner_id == user.id)
    row = (await read.execute(query)).one_or_none()
    if row is None:
        raise UnknownConversation(f"There is no conversation {conversation_id[:60]!r} of yours.")
    columns = [getattr(MessageRow, field) for field in MessageView.__struct_fields__]
    messages = await read.execute(
        sa.select(*columns)
        .where(MessageRow.conversation_id == conversation_id)
        .order_by(MessageRow.id)
    )
    return ConversationWithMessages(*row, messages=[MessageView(*message) for message in messages])


@delete("/chat/conversations/{conversation_id:str}", operation_id="DeleteConversation", tags=["Chat"],
        summary="Delete a conversation with everything in it")  # fmt: skip
async def delete_conversation(db: Db, user: User, conversation_id: str) -> None:
    owned = sa.select(Conversation.id).where(
        Conversation.id == conversation_id, Conversation.owner_id == user.id
    )
    if await db.scalar(owned) is None:
        raise UnknownConversation(f"There is no conversation {conversation_id[:60]!r} of yours.")
    # Locked in the order in which an answer is stored: messages, conversation, jobs.
    messages = sa.select(MessageRow.job_id).where(MessageRow.conversation_id == conversation_id)
    job_ids = [job_id for job_id in await db.scalars(messages.with_for_update()) if job_id]
    await db.execute(
        sa.delete(Conversation)
        .where(Conversation.id == conversation_id)
        .execution_options(synchronize_session=False)
    )
    # The job rows stay as a record of work, without the answers.
    await db.execute(
        sa.update(Job)
        .where(Job.id.in_(job_ids))
        .values(result=None, version=Job.version + 1)
        .execution_options(synchronize_session=False)
    )
    outbox(db).extend(Forget(job_id) for job_id in job_ids)


routes = [ask, list_conversations, get_conversation, delete_conversation, give_feedback]
