"""/content/sources: where content comes from by itself, and how its runs went. For operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from litestar import Request, Response, delete, get, patch, post
from litestar.params import Parameter

from ai_investment.content.sources import define
from ai_investment.content.sources.define import NewSource, UnknownSource
from ai_investment.content.sources.models import Source, SourceRun
from ai_investment.content.sources.sync import Counts, backfill_source, sync_source
from ai_investment.db import Db, Read
from ai_investment.http.cursors import Page, after, page
from ai_investment.http.idempotency import once
from ai_investment.identity.access import User
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import IS_LIVE, Job
from ai_investment.jobs.routes import Accepted
from ai_investment.settings import Settings


class SourceView(msgspec.Struct, frozen=True):
    """A source. `failures`: failed runs in a row; each puts the next one off, and six pause the source."""

    id: str
    name: str
    kind: str
    url: str
    publisher: str
    licence: str
    trust: str
    audience: str
    schedule: str
    options: dict[str, Any]
    state: str
    paused_because: str | None
    failures: int
    next_run_at: datetime | None


class RunView(msgspec.Struct, frozen=True):
    """A run. State `interrupted`: broken off; the next run of its kind goes on with it."""

    id: str
    job_id: str
    everything: bool
    state: Literal["running", "interrupted", "succeeded", "failed"]
    error: str | None
    counts: Counts | None
    reasons: dict[str, int]
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None


class NewState(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["active", "paused"]


class BackFill(msgspec.Struct, forbid_unknown_fields=True):
    """`everything`: all that the source ever had and not only the newest."""

    everything: bool = False


def _view(row: Any) -> SourceView:
    fields = {field: getattr(row, field) for field in SourceView.__struct_fields__}
    return SourceView(
        **fields | {"next_run_at": row.next_run_at if row.state == "active" else None}
    )


@get("/content/sources", operation_id="ListSources", tags=["Content"], summary="All sources")
async def list_sources(read: Read, user: User) -> list[SourceView]:
    user.need_admin()
    table: Any = Source.__table__
    rows = await read.execute(sa.select(table).order_by(table.c.name).limit(1000))
    return [_view(row) for row in rows]


@post("/content/sources", status_code=201, operation_id="PutSource", tags=["Content"],
      summary="Add a source, or change the one of this name")  # fmt: skip
async def put_source(
    request: Request[Any, Any, Any], db: Db, user: User, settings: Settings, data: NewSource
) -> Response[SourceView]:
    user.need_admin()
    async with once(request, db, user.id) as answer:
        source, created = await define.put(db, data, settings.private_hosts)
        return answer.done(Response(_view(source), status_code=201 if created else 200))


@patch("/content/sources/{source_id:str}", operation_id="SetSourceState", tags=["Content"],
       summary="Pause a source, or let it run again")  # fmt: skip
async def set_state(db: Db, user: User, source_id: str, data: NewState) -> SourceView:
    user.need_admin()
    return _view(await define.set_state(db, source_id, data.state))


@delete("/content/sources/{source_id:str}", operation_id="RemoveSource", tags=["Content"],
        summary="Remove a source and withdraw its documents")  # fmt: skip
async def remove_source(db: Db, user: User, source_id: str) -> None:
    user.need_admin()
    await define.remove(db, source_id)


@post("/content/sources/{source_id:str}/sync", status_code=202, operation_id="SyncSource", tags=["Content"],
      summary="Look at a source now")  # fmt: skip
async def sync(
    request: Request[Any, Any, Any],
    db: Db,
    user: User,
    source_id: str,
    data: BackFill | None = None,
) -> Accepted:
    user.need_admin()
    kind = backfill_source if data and data.everything else sync_source
    async with once(request, db, user.id) as answer:
        source = await define.locked(db, source_id)
        job = await enqueue(db, user.id, kind, source_id=source.id)
        return answer.done(Accepted(request, job, source_id=source.id))


@get("/content/sources/{source_id:str}/runs", operation_id="ListSourceRuns", tags=["Content"],
     summary="The runs of a source, newest first")  # fmt: skip
async def list_runs(
    read: Read,
    user: User,
    source_id: str,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
) -> Page[RunView]:
    user.need_admin()
    known = sa.select(Source.id).where(Source.id == source_id)
    if (await read.execute(known)).scalar_one_or_none() is None:
        raise UnknownSource(f"There is no source {source_id[:60]!r}.")
    table: Any = SourceRun.__table__
    live = sa.exists().where(Job.id == table.c.job_id, IS_LIVE)
    query = sa.select(table, live.label("live")).where(table.c.source_id == source_id)
    rows = (await read.execute(after(query, table.c.id, cursor).limit(limit + 1))).all()
    return page([_run_view(row) for row in rows], limit)


def _run_view(row: Any) -> RunView:
    same = set(RunView.__struct_fields__) & set(row._fields) - {"counts", "reasons", "state"}
    took = (row.finished_at - row.started_at).total_seconds() if row.finished_at else None
    return RunView(
        **{field: getattr(row, field) for field in same},
        state="interrupted" if row.state == "running" and not row.live else row.state,
        counts=msgspec.convert(row.counts, Counts) if row.counts else None,
        reasons=row.reasons or {},
        seconds=took,
    )


routes = [list_sources, put_source, set_state, remove_source, sync, list_runs]
