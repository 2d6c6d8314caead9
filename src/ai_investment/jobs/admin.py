"""/admin/jobs: everybody's jobs, and the retry of dead ones. For operators."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from litestar import get, post
from litestar.params import Parameter

from ai_investment.db import Db, Read
from ai_investment.http.cursors import Page, after, page
from ai_investment.identity.access import User
from ai_investment.jobs.enqueue import retry
from ai_investment.jobs.errors import NotRetried, UnknownJob
from ai_investment.jobs.models import Job
from ai_investment.jobs.routes import COLUMNS, JobView, view


@get(
    "/admin/jobs",
    operation_id="ListAllJobs",
    tags=["Operations"],
    summary="Everybody's jobs; ?dead=true for the dead letter",
)
async def list_all_jobs(
    read: Read,
    user: User,
    dead: bool | None = None,
    job_state: Annotated[str | None, Parameter(query="state")] = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
) -> Page[JobView]:
    user.need_admin()
    query = sa.select(*COLUMNS)
    for column, wanted in ((Job.dead, dead), (Job.state, job_state), (Job.kind, kind)):
        if wanted is not None:
            query = query.where(column == wanted)
    rows = (await read.execute(after(query, Job.id, cursor).limit(limit + 1))).all()
    return page([view(row) for row in rows], limit)


@post("/admin/jobs/{job_id:str}/retry", status_code=202, operation_id="RetryJob", tags=["Operations"],
      summary="A failed or cancelled job waits again, with all its attempts")  # fmt: skip
async def retry_job(db: Db, user: User, job_id: str) -> JobView:
    user.need_admin()
    retried = await retry(db, job_id)
    row = (await db.execute(sa.select(*COLUMNS).where(Job.id == job_id))).one_or_none()
    if row is None:
        raise UnknownJob(f"There is no job {job_id[:60]!r}.")
    if not retried:
        raise NotRetried(
            f"The job is {row.state}: only failed and cancelled ones are retried, "
            "and none while another job does the same."
        )
    return view(row)


routes = [list_all_jobs, retry_job]
