"""Two that want the last word: cancel and finish, two schedulers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

import sqlalchemy as sa

from ai_investment.jobs.enqueue import cancel
from ai_investment.jobs.models import TERMINAL
from ai_investment.jobs.schedule import ScheduleFire
from ai_investment.jobs.upkeep import prune
from tests.faults import kinds
from tests.faults.both import on_both_databases
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.seeds import seeded
from tests.faults.site import Person, Site
from tests.faults.waiting import until


@seeded
async def test_a_cancel_that_races_with_the_finish_ends_in_one_state_with_its_effect_or_without(
    site: Site, seed: int
) -> None:
    """Row 30. That the effect is there exactly when the job has succeeded, promises_kept checks."""
    chance = Random(seed)
    person = await site.person()
    await site.worker(slots=15)

    async def one() -> tuple[str, str]:
        job_id = await site.put(kinds.timed, chance.uniform(0, 0.8), owner=person.id)
        await asyncio.sleep(chance.uniform(0, 0.9))
        return job_id, await cancelled(person, job_id)

    told = dict(await asyncio.gather(*(one() for _ in range(40))))
    await promises_kept(site)
    ended = {row.id: row.state for row in await site.jobs(list(told))}
    assert set(ended.values()) <= {"succeeded", "cancelled"}
    for job_id, state in told.items():
        assert state not in TERMINAL or ended[job_id] == state


async def cancelled(person: Person, job_id: str) -> str:
    """Ask for the cancel; the state that was told."""
    response = await person.http.post(f"/api/v1/jobs/{job_id}/cancel")
    assert response.status_code == 200, response.text
    return str(response.json()["state"])


@on_both_databases
async def test_a_cancel_outlives_the_death_of_the_worker(ground: Ground) -> None:
    """Row 30: asked for while the job ran, and the worker died before it noticed."""
    worker = await ground.worker()
    job_id = await ground.put(kinds.held, "held", "never")
    await ground.started("held")
    worker.kill()
    async with ground.database.transaction() as db:
        await cancel(db, job_id)
    await ground.worker()
    await ground.ended(job_id, "cancelled")
    await promises_kept(ground)


@on_both_databases
async def test_two_schedulers_fire_each_time_once(ground: Ground) -> None:
    """Row 31. Each has a Redis of its own, so that nothing but SQL keeps the two apart."""
    await ground.knows_schedule(prune.name)
    await ground.scheduler(REDIS_URL=ground.redis.url.replace("/0", "/1"))
    await ground.worker()
    for fired in (1, 2):
        await _yesterday(ground)

        async def seen(times: int = fired) -> bool:
            return len(await _fired(ground)) >= times

        await until(seen, f"firing {fired}")
    await asyncio.sleep(2.5)  # one more round; what does not happen cannot be waited for
    runs = await _fired(ground)
    assert len(runs) == 2
    ground.accepted |= set(runs)
    await promises_kept(ground)


async def _yesterday(ground: Ground) -> None:
    """As if each firing so far had been a day earlier."""
    of_it = sa.select(ScheduleFire).where(ScheduleFire.schedule == prune.name)
    async with ground.database.transaction() as db:
        for fire in (await db.scalars(of_it.order_by(ScheduleFire.fire_time))).all():
            fire.fire_time -= timedelta(days=1)
            await db.flush()  # one by one: a day earlier is where the one before was


async def _fired(ground: Ground) -> list[str]:
    return [row.id for row in await ground.jobs() if row.kind == prune.name]
