"""Five thousand jobs at once, most of them one person's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import sqlalchemy as sa

from ai_investment.ids import new_id
from ai_investment.jobs.enqueue import enqueue_many
from ai_investment.jobs.models import Job
from tests.faults import kinds
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.site import Site
from tests.faults.waiting import until

_ALL, _USERS, _EACH = 5000, 49, 5
_QUOTA = 20


async def accept(ground: Ground, owner: str, count: int, seconds: float) -> None:
    async with ground.database.transaction() as db:
        ids = await enqueue_many(db, owner, kinds.brief, [{"seconds": seconds}] * count)
    ground.accepted |= set(ids)


async def waits(ground: Ground, owners: Iterable[str]) -> list[float]:
    """Seconds from acceptance to start of these people's jobs, once all have ended, shortest first."""
    mine = Job.owner_id.in_(list(owners))

    async def all_ended() -> bool:
        live = sa.select(Job.id).where(mine, Job.finished_at.is_(None)).limit(1)
        async with ground.database.reading() as read:
            return (await read.execute(live)).first() is None

    await until(all_ended, "the end of the jobs of the many", 90)
    async with ground.database.reading() as read:
        rows = (await read.execute(sa.select(Job.created_at, Job.started_at).where(mine))).all()
    return sorted((row.started_at - row.created_at).total_seconds() for row in rows)


async def test_nobody_waits_for_a_flooder_and_none_of_five_thousand_jobs_is_lost(
    ground: Ground,
) -> None:
    """Row 27: the same people with and without the flood, and one who comes in the middle of it."""
    first, second = [[new_id("usr") for _ in range(_USERS)] for _ in range(2)]
    worker = await ground.worker(slots=4)
    lone = await _waits_of_a_newcomer(ground)
    worker.kill()
    await asyncio.gather(*(accept(ground, owner, _EACH, 0.06) for owner in first))
    worker = await ground.worker(slots=4)
    alone = await waits(ground, first)
    worker.kill()
    await accept(ground, new_id("usr"), _ALL - _USERS * _EACH, 0.03)
    await asyncio.gather(*(accept(ground, owner, _EACH, 0.06) for owner in second))
    await ground.worker(slots=4)
    beside = await waits(ground, second)
    assert _p95(beside) <= 3 * _p95(alone), (_p95(alone), _p95(beside))
    newcomer = await _waits_of_a_newcomer(ground)
    assert len(await ground.in_state("queued")) > _ALL / 5, "the flood was over"
    assert _p95(newcomer) <= 3 * _p95(lone), (_p95(lone), _p95(newcomer))
    await ground.worker(slots=50)
    await promises_kept(ground, seconds=90)
    assert len(ground.accepted) == _ALL + (_USERS + 2) * _EACH


async def _waits_of_a_newcomer(ground: Ground) -> list[float]:
    """A new user's waits; the fifth of their jobs waits for a slot even when nobody else is there."""
    owner = new_id("usr")
    await accept(ground, owner, _EACH, 0.2)
    return await waits(ground, [owner])


def _p95(values: list[float]) -> float:
    return values[int(len(values) * 0.95)]


async def test_a_flooder_is_told_429_at_the_quota_and_others_are_let_in(site: Site) -> None:
    """Row 27, over HTTP, with requests that arrive at the same time."""
    flooder, *others = [await site.person() for _ in range(6)]
    asked = await asyncio.gather(
        *(flooder.ask() for _ in range(60)), *(other.ask() for other in others)
    )
    flood, rest = asked[:60], asked[60:]
    assert {answer.status_code for answer in rest} == {202}
    assert {answer.status_code for answer in flood} == {202, 429}
    refused = [answer for answer in flood if answer.status_code == 429]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert len(refused) == 60 - _QUOTA, "more were accepted than the quota"
    await site.worker("answers")
    await promises_kept(site)
