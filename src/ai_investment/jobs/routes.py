"""/jobs: poll, long-poll, stream and cancel one's own jobs; the 202 that every slow POST answers."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from litestar import Request, Response, get, post
from litestar.params import Parameter
from litestar.types import ASGIApp, Receive, Scope, Send
from redis.exceptions import RedisError

from ai_investment.db import Database, Db, Read
from ai_investment.http.cursors import Page, after, page
from ai_investment.http.sse import EventStream, comment, event
from ai_investment.identity.access import Credentials, User, caller_row
from ai_investment.jobs.bell import Bell, Event, Listener, wait_for
from ai_investment.jobs.enqueue import cancel
from ai_investment.jobs.errors import TooManyStreams, UnknownJob
from ai_investment.jobs.models import TERMINAL, Job

log = logging.getLogger(__name__)

MAX_WAIT = 20
MAX_STREAMS = 500
HEARTBEAT = 15
# How often a waiting reader looks at SQL although no bell rang: Redis may be away.
_LOOK_AGAIN = 2.0


class JobLinks(msgspec.Struct, frozen=True):
    self: str
    events: str
    cancel: str


class JobView(msgspec.Struct, frozen=True):
    """A job as its owner sees it. `result` when succeeded, `error` (a problem) when failed or retrying."""

    id: str
    kind: str
    state: str
    attempt: int
    max_attempts: int
    progress: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    links: JobLinks


COLUMNS = (
    Job.id, Job.kind, Job.state, Job.attempt, Job.max_attempts, Job.progress, Job.created_at,
    Job.started_at, Job.finished_at, Job.result, Job.error, Job.version,
)  # fmt: skip


def view(row: Any) -> JobView:
    """The public form of a row with `COLUMNS`, or of a Job."""
    return JobView(
        **{field: getattr(row, field) for field in JobView.__struct_fields__ if field != "links"},
        links=JobLinks(path(row.id), f"{path(row.id)}/events", f"{path(row.id)}/cancel"),
    )


def path(job_id: str) -> str:
    return f"/api/v1/jobs/{job_id}"


def etag(row: Any) -> str:
    return f'"{row.id}-{row.version}"'


def matches(if_none_match: str, row: Any) -> bool:
    """RFC 9110: a list of tags or `*`, compared weakly (a compressing proxy weakens them)."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag(row) in tags


async def read_job(database: Database, credentials: Credentials, job_id: str) -> Any:
    """The caller and the job in one query. Raises Unauthenticated or UnknownJob."""
    who = caller_row(credentials).subquery()
    async with database.reading() as db:
        row = (
            await db.execute(
                sa.select(who, *COLUMNS).select_from(
                    who.outerjoin(Job, sa.and_(Job.id == job_id, Job.owner_id == who.c.user_id))
                )
            )
        ).one_or_none()
    credentials.check(row)
    if row is None or row.id is None:
        raise UnknownJob(f"There is no job {job_id[:60]!r} of yours.")
    return row


async def wait_until(
    database: Database,
    changes: Listener,
    credentials: Credentials,
    job_id: str,
    seconds: float,
    seen: str | None,
) -> Any:
    """The job's row once it is terminal, or (with `seen`, an ETag) once it differs from it, or at the deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    async with changes.woken(job_id) as changed:
        while True:
            row = await read_job(database, credentials, job_id)
            left = deadline - asyncio.get_running_loop().time()
            if row.state in TERMINAL or (seen and not matches(seen, row)) or left <= 0:
                return row
            await wait_for(changed, min(left, _LOOK_AGAIN))


@get(
    "/jobs/{job_id:str}",
    operation_id="GetJob",
    tags=["Jobs"],
    summary="One job; long poll with ?wait=N",
)
async def get_job(
    request: Request[Any, Any, Any],
    database: Database,
    changes: Listener,
    credentials: Credentials,
    job_id: str,
    wait: Annotated[
        float, Parameter(ge=0, le=MAX_WAIT, description="Wait up to N seconds for the end.")
    ] = 0,
) -> Response[JobView]:
    seen = request.headers.get("if-none-match")
    row = await wait_until(database, changes, credentials, job_id, wait, seen)
    headers = {"ETag": etag(row), "Cache-Control": "no-store"}
    if row.state not in TERMINAL:
        headers["Retry-After"] = "1"
    if seen and matches(seen, row):
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(view(row), headers=headers)


@get("/jobs", operation_id="ListJobs", tags=["Jobs"], summary="One's own jobs, newest first")
async def list_jobs(
    read: Read,
    user: User,
    job_state: Annotated[str | None, Parameter(query="state")] = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
) -> Page[JobView]:
    query = sa.select(*COLUMNS).where(Job.owner_id == user.id)
    if job_state:
        query = query.where(Job.state == job_state)
    if kind:
        query = query.where(Job.kind == kind)
    rows = (await read.execute(after(query, Job.id, cursor).limit(limit + 1))).all()
    return page([view(row) for row in rows], limit)


@post("/jobs/{job_id:str}/cancel", status_code=200, operation_id="CancelJob", tags=["Jobs"],
      summary="Ask a job to stop; a finished one stays as it is")  # fmt: skip
async def cancel_job(db: Db, user: User, job_id: str) -> JobView:
    owned = (
        sa.select(Job)
        .where(Job.id == job_id, Job.owner_id == user.id)
        .execution_options(populate_existing=True)
    )
    if (await db.scalars(owned)).one_or_none() is None:
        raise UnknownJob(f"There is no job {job_id[:60]!r} of yours.")
    await cancel(db, job_id)
    return view((await db.scalars(owned)).one())


_open_streams = 0


@get("/jobs/{job_id:str}/events", operation_id="StreamJob", tags=["Jobs"], media_type="text/event-stream",
     summary="Server-sent events: progress, delta, done; resumable with Last-Event-ID")  # fmt: skip
async def stream_job(
    request: Request[Any, Any, Any],
    database: Database,
    bell: Bell,
    changes: Listener,
    credentials: Credentials,
    job_id: str,
) -> EventStream:
    await read_job(database, credentials, job_id)
    if _open_streams >= MAX_STREAMS:
        raise TooManyStreams(
            "Too many event streams are open here; poll the job instead.", retry_after=5
        )
    last = request.headers.get("last-event-id", "0")
    last = last if re.fullmatch(r"\d{1,20}-\d{1,20}", last) else "0"
    source = _Source(request, database, bell, changes, credentials, job_id)
    return EventStream(_events(source, last))


class _Source(msgspec.Struct, frozen=True):
    """Where the events of one stream come from."""

    request: Request[Any, Any, Any]
    database: Database
    bell: Bell
    changes: Listener
    credentials: Credentials
    job_id: str


async def _events(source: _Source, last: str) -> AsyncGenerator[bytes]:
    """Events from Redis while it has them; the end always from SQL."""
    global _open_streams
    _open_streams += 1
    loop = asyncio.get_running_loop()
    try:
        async with source.changes.woken(source.job_id) as changed:
            # Jittered, so that readers do not all come back at once after a restart.
            yield comment("open", retry=random.randint(1000, 4000))
            spoke_at = loop.time()
            while not source.request.app.state.draining:
                # The row first: events emitted before a terminal state are then all in the stream.
                row = await read_job(source.database, source.credentials, source.job_id)
                while items := await _new_events(source.bell, source.job_id, last):
                    for item in items:
                        last, spoke_at = item.id, loop.time()
                        yield event(item.name, item.data, item.id)
                if row.state in TERMINAL:
                    yield event("done", view(row), last if last != "0" else None)
                    return
                if loop.time() - spoke_at >= HEARTBEAT:
                    spoke_at = loop.time()
                    yield comment("still here")
                await wait_for(changed, _LOOK_AGAIN)
        yield event("shutdown", {})
    finally:
        _open_streams -= 1


async def _new_events(bell: Bell, job_id: str, last: str) -> list[Event]:
    try:
        return await bell.events_after(job_id, last)
    except (RedisError, OSError):
        return []


class Accepted(Response[Any]):
    """`202` with the job's place; with `Prefer: wait=N` the finished job as `200` if it ends in time.

    The wait happens while the response is sent: after the transaction of the request has committed.
    """

    def __init__(self, request: Request[Any, Any, Any], job: Job, **ids: str) -> None:
        headers = {"Location": path(job.id), "Retry-After": "1"}
        super().__init__({"job": view(job), **ids}, status_code=202, headers=headers)
        self.job_id = job.id
        self.ids = ids
        self.seconds = preferred_wait(request.headers.get("prefer", ""))

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **kw: Any) -> ASGIApp:  # type: ignore[override]
        plain = super().to_asgi_response(app, request, **kw)
        if not self.seconds:
            return plain

        async def wait_then_send(scope: Scope, receive: Receive, send: Send) -> None:
            state = request.app.state
            credentials: Credentials = request.state.credentials
            try:
                row = await wait_until(
                    state.database, state.changes, credentials, self.job_id, self.seconds, None
                )
            except Exception as cause:
                # The job is accepted whatever happens to the waiting: say so.
                log.warning("waiting ended: %s", type(cause).__name__)
                await plain(scope, receive, send)
                return
            headers = {"Location": path(row.id), "Preference-Applied": f"wait={self.seconds}"}
            status = 200 if row.state in TERMINAL else 202
            if status == 202:
                headers["Retry-After"] = "1"
            final: Response[Any] = Response(
                {"job": view(row), **self.ids}, status_code=status, headers=headers
            )
            await final.to_asgi_response(None, request, **kw)(scope, receive, send)

        return wait_then_send


def preferred_wait(prefer: str) -> int:
    """N of `Prefer: wait=N` (RFC 7240), at most 20; 0 when absent or not a number."""
    match = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", prefer, re.IGNORECASE)
    return min(int(match[1]), MAX_WAIT) if match else 0


routes = [get_job, list_jobs, cancel_job, stream_job]
