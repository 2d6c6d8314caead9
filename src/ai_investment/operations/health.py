"""Liveness, readiness and the detailed check of everything we depend on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from litestar import Response, get
from litestar.datastructures import State

from ai_investment.answers.breaker import Breaker
from ai_investment.answers.budget import spent_today
from ai_investment.content.generations import index_trouble
from ai_investment.content.models import Document
from ai_investment.content.sources.models import Source
from ai_investment.db import Database
from ai_investment.identity.access import User
from ai_investment.jobs.declare import QUEUES
from ai_investment.jobs.models import IS_QUEUED, Job
from ai_investment.jobs.presence import workers_present
from ai_investment.settings import Settings
from ai_investment.version import VERSION

_TIMEOUT = 2.0
# Longer than any worker needs to notice a job.
_QUEUE_LATE = 60
# Sources are started within a minute of their time.
_SOURCES_LATE = 300

CheckStatus = Literal["healthy", "degraded", "unhealthy", "not_configured"]


class Check(msgspec.Struct, frozen=True):
    status: CheckStatus
    latency_ms: float
    detail: str


class Detailed(msgspec.Struct, frozen=True):
    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: datetime
    checks: dict[str, Check]


class Alive(msgspec.Struct, frozen=True):
    status: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    status: str
    waiting_for: list[str]


@get(
    "/health",
    operation_id="Health",
    tags=["Operations"],
    summary="Is the process alive",
    security=[],
    sync_to_thread=False,
)
def alive() -> Alive:
    return Alive("ok", VERSION)


@get("/health/ready", operation_id="Ready", tags=["Operations"], security=[],
     summary="May this process get traffic: started, not draining, database migrated")  # fmt: skip
async def ready(state: State) -> Response[Ready]:
    waiting = []
    if not state.ready:
        waiting.append("start-up")
    elif state.draining:
        waiting.append("draining")
    else:
        check = await _timed(lambda: _database(state.database))
        if check.status != "healthy":
            waiting.append("database")
    # Redis is not asked: without it work is still accepted, and kept.
    status = 503 if waiting else 200
    return Response(Ready("waiting" if waiting else "ready", waiting), status_code=status)


@get("/health/detailed", operation_id="HealthDetailed", tags=["Operations"],
     summary="Every dependency; for operators")  # fmt: skip
async def detailed(state: State, settings: Settings, user: User) -> Detailed:
    user.need_admin()
    probes: dict[str, Callable[[], Awaitable[tuple[CheckStatus, str]]]] = {
        "database": lambda: _database(state.database),
        "cache": lambda: _redis(state),
        "queue": lambda: _queue(state),
        "vector_store": lambda: _vector_store(settings.chroma_url, state.database),
        "firestore": _not_configured,
        "ai_services": lambda: _ai_services(settings, state),
        "data_pipeline": lambda: _data_pipeline(state.database),
        "external_apis": _not_configured,
    }
    results = await asyncio.gather(*(_timed(probe) for probe in probes.values()))
    checks = dict(zip(probes, results, strict=True))
    return Detailed(_overall(checks), datetime.now(UTC), checks)


def _overall(checks: dict[str, Check]) -> Literal["healthy", "degraded", "unhealthy"]:
    if checks["database"].status == "unhealthy":
        return "unhealthy"
    fine = all(check.status in ("healthy", "not_configured") for check in checks.values())
    return "healthy" if fine else "degraded"


async def _timed(probe: Callable[[], Awaitable[tuple[CheckStatus, str]]]) -> Check:
    started = time.perf_counter()
    try:
        status, detail = await asyncio.wait_for(probe(), _TIMEOUT)
    except Exception as cause:
        # The class only: messages of drivers hold host names and URLs.
        status, detail = "unhealthy", type(cause).__name__
    return Check(status, round((time.perf_counter() - started) * 1000, 2), detail)


async def _database(database: Database) -> tuple[CheckStatus, str]:
    from ai_investment.migrations.head import head, serves

    async with database.reading() as read:
        found = (
            await read.execute(sa.text("SELECT version_num FROM alembic_version"))
        ).scalar_one_or_none()
    if not serves(found):
        return (
            "unhealthy",
            f"at migration {found}, this release needs {head()}: run `ai-investment db upgrade`",
        )
    return "healthy", f"migration {found}"


async def _redis(state: State) -> tuple[CheckStatus, str]:
    await cast("Awaitable[bool]", state.bell.redis.ping())
    return "healthy", "answers"


async def _queue(state: State) -> tuple[CheckStatus, str]:
    present = await workers_present(state.bell.redis)
    missing = [name for name in (*QUEUES, "scheduler") if name not in present]
    async with state.database.reading() as read:
        oldest = (
            await read.execute(sa.select(sa.func.min(Job.run_at)).where(IS_QUEUED))
        ).scalar_one()
    waiting = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0
    if missing:
        return "degraded", f"no worker for {', '.join(missing)}"
    if waiting > _QUEUE_LATE:
        return "degraded", f"the oldest job has waited {waiting:.0f} s"
    return (
        "healthy",
        f"workers for {', '.join(sorted(present))}; oldest waiting job {waiting:.0f} s",
    )


async def _vector_store(url: str, database: Database) -> tuple[CheckStatus, str]:
    """Chroma's heartbeat over a plain socket (the API has no HTTP client to load for one probe), and the
    state of the index in it."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reader, writer = await asyncio.open_connection(
        parts.hostname, port, ssl=parts.scheme == "https" or None
    )
    try:
        writer.write(
            f"GET /api/v2/heartbeat HTTP/1.1\r\nHost: {parts.hostname}\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        status = (await reader.readline()).split()
    finally:
        writer.close()
    if len(status) < 2 or status[1] != b"200":
        return "unhealthy", "does not answer its heartbeat"
    async with database.reading() as read:
        trouble = await index_trouble(read)
    return ("degraded", trouble) if trouble else ("healthy", "answers")


async def _ai_services(settings: Settings, state: State) -> tuple[CheckStatus, str]:
    if not settings.openai_api_key:
        return "not_configured", "answers are quotations; set OPENAI_API_KEY for written ones"
    async with state.database.reading() as read:
        tokens, cost = await spent_today(read)
    if held := await Breaker(state.bell.redis, "openai").state():
        return "degraded", f"{_HELD[held.why]}; quotations for {held.seconds:.0f} s more"
    told = f"{tokens} tokens and ${cost:.2f} today"
    if tokens >= settings.openai_daily_tokens or cost >= settings.openai_daily_cost_usd:
        return "degraded", f"the day's budget is used up ({told}): answers are quotations"
    return "healthy", f"model {settings.openai_model}; {told}"


_HELD = {
    "failures": "the provider failed several times",
    "quota": "the provider's quota is used up or not paid",
    "refused": "the provider refuses requests: check OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL",
    "rate_limit": "the provider's rate limit",
}


async def _data_pipeline(database: Database) -> tuple[CheckStatus, str]:
    """How late the sources are, and which of them do not work."""
    live = sa.select(sa.func.count(), sa.func.max(Document.updated_at)).where(
        Document.live_version_id.is_not(None)
    )
    active = Source.state == "active"
    sources = sa.select(
        sa.func.count().filter(active),
        sa.func.count().filter(active, Source.failures > 0),
        sa.func.count().filter(Source.state == "paused", Source.failures > 0),
        sa.func.min(Source.next_run_at).filter(active),
    )
    async with database.reading() as read:
        count, latest = (await read.execute(live)).one()
        running, failing, given_up, due = cast("Any", (await read.execute(sources)).one())
    if not count:
        return "degraded", "no document yet"
    documents = f"{count} documents, the latest of {latest:%Y-%m-%d %H:%M} UTC"
    late = (datetime.now(UTC) - due).total_seconds() if due is not None else 0.0
    faults = [
        f"sources are {late / 60:.0f} minutes late" if late > _SOURCES_LATE else "",
        f"{failing} sources fail" if failing else "",
        f"{given_up} sources were paused after failures" if given_up else "",
    ]
    if found := [fault for fault in faults if fault]:
        return "degraded", "; ".join([*found, documents])
    return "healthy", f"{running} active sources, none late; {documents}"


async def _not_configured() -> tuple[CheckStatus, str]:
    return "not_configured", "not used by this installation"


routes = [alive, ready, detailed]
