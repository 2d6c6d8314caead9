"""/metrics for Prometheus: requests from memory, jobs from SQL at the moment of the scrape.

Operators read it with their key; Prometheus from the internal listener.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from litestar import Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest

from ai_investment.answers.safety.events import SafetyEvent
from ai_investment.db import Database
from ai_investment.identity.access import User
from ai_investment.jobs.declare import KINDS, QUEUES
from ai_investment.jobs.models import IS_QUEUED, Job

JOBS = Gauge("jobs", "Jobs in the database by kind and state.", ["kind", "state"])
DEAD = Gauge("jobs_dead", "Jobs in the dead letter by kind.", ["kind"])
OLDEST = Gauge(
    "jobs_oldest_waiting_seconds", "How long the oldest due job of a queue has waited.", ["queue"]
)
SAFETY = Gauge(
    "safety_events", "Answers refused or escalated, of the last 90 days.", ["outcome", "reason"]
)


@get("/metrics", include_in_schema=False)
async def metrics(state: State, user: User) -> Response[bytes]:
    user.need_admin()
    return Response(await exposition(state.database), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def exposition(database: Database) -> bytes:
    """All metrics in Prometheus' text format."""
    async with database.reading() as read:
        counts = (
            await read.execute(
                sa.select(
                    Job.kind, Job.state, sa.func.count(), sa.func.sum(sa.cast(Job.dead, sa.Integer))
                ).group_by(Job.kind, Job.state)
            )
        ).all()
        oldest = (
            await read.execute(
                sa.select(Job.queue, sa.func.min(Job.run_at)).where(IS_QUEUED).group_by(Job.queue)
            )
        ).all()
        stopped = (
            await read.execute(
                sa.select(SafetyEvent.outcome, SafetyEvent.reason, sa.func.count()).group_by(
                    SafetyEvent.outcome, SafetyEvent.reason
                )
            )
        ).all()
    SAFETY.clear()
    for outcome, reason, count in stopped:
        SAFETY.labels(outcome, reason).set(count)
    _set_gauges(counts, {row[0]: row[1] for row in oldest})
    return generate_latest(REGISTRY)


def _set_gauges(counts: Any, oldest: dict[str, datetime]) -> None:
    JOBS.clear()
    DEAD.clear()
    for kind in KINDS:
        DEAD.labels(kind).set(0)
    for kind, job_state, count, dead in counts:
        label = kind if kind in KINDS else "other"
        JOBS.labels(label, job_state).inc(count)
        DEAD.labels(label).inc(dead)
    now = datetime.now(UTC)
    for queue in QUEUES:
        since = oldest.get(queue)
        OLDEST.labels(queue).set(max(0.0, (now - since).total_seconds()) if since else 0)


routes = [metrics]
