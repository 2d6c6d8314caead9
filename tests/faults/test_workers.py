"""Workers that die, freeze, or are told to stop."""

from __future__ import annotations

import asyncio
import random
import signal

import sqlalchemy as sa

from tests.faults import kinds
from tests.faults.both import on_both_databases
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.records import EFFECTS
from tests.faults.seeds import seeded
from tests.faults.waiting import until


async def effects(ground: Ground) -> int:
    async with ground.database.reading() as read:
        return len((await read.execute(sa.select(EFFECTS))).all())


@seeded
@on_both_databases
async def test_a_worker_killed_at_any_moment_loses_no_job_and_doubles_none(
    ground: Ground, seed: int
) -> None:
    """Row 1."""
    chance = random.Random(seed)
    ids = [await ground.put(kinds.timed, chance.uniform(0, 0.3)) for _ in range(20)]
    held = await ground.put(kinds.held, "held", "never-mind")
    first, enough = await ground.worker(slots=6), chance.randint(1, 15)

    async def enough_done() -> bool:
        return await effects(ground) >= enough

    await until(enough_done, f"{enough} effects")
    await asyncio.sleep(chance.uniform(0, 0.03))  # anywhere between two statements
    first.kill()
    await ground.worker(slots=6)
    ground.open_gate("never-mind")
    await promises_kept(ground)
    rows = await ground.jobs([*ids, held])
    assert {row.state for row in rows} == {"succeeded"}
    assert max(row.attempt for row in rows) <= 2


@on_both_databases
async def test_a_job_of_a_killed_worker_is_taken_back_and_ends_in_one_result(
    ground: Ground,
) -> None:
    """Row 1, one job."""
    first = await ground.worker()
    job_id = await ground.put(kinds.held, "held", "gate")
    await ground.started("held")
    first.kill()
    await ground.worker()
    await ground.started("held", 2)  # within lease and sweep
    ground.open_gate("gate")
    assert (await ground.ended(job_id)).attempt == 2
    await promises_kept(ground)


@on_both_databases
async def test_a_worker_frozen_past_its_lease_writes_nothing_when_it_thaws(
    ground: Ground,
) -> None:
    """Row 2: one job was finished by another worker meanwhile, the other one is still at it."""
    old = await ground.worker()
    done = await ground.put(kinds.held, "done", "open")
    doing = await ground.put(kinds.held, "doing", "later")
    await ground.started("done")
    await ground.started("doing")
    await ground.freeze(old)
    new = await ground.worker()
    await ground.started("done", 2)
    await ground.started("doing", 2)
    ground.open_gate("open")
    await ground.ended(done)
    old.signal(signal.SIGCONT)
    await until(lambda: old.text().count('"outcome":"lease lost"') == 2, "two lost leases")
    ground.open_gate("later")
    await ground.ended(doing)
    await promises_kept(ground)
    async with ground.database.reading() as read:
        assert set((await read.execute(sa.select(EFFECTS.c.pid))).scalars()) == {new.pid}


@on_both_databases
async def test_a_worker_told_to_stop_ends_what_it_can_and_gives_the_rest_back(
    ground: Ground,
) -> None:
    """Row 3."""
    worker = await ground.worker(drain=2)
    short = await ground.put(kinds.held, "short", "soon")
    long = await ground.put(kinds.held, "long", "late")
    await ground.started("short")
    await ground.started("long")
    worker.signal(signal.SIGTERM)
    ground.open_gate("soon")
    await ground.ended(short)
    late = await ground.put(kinds.timed, 0)  # a stopping worker takes nothing new
    assert await worker.ended() == 0
    rows = [await ground.job(job_id) for job_id in (short, long, late)]
    assert [(row.state, row.attempt) for row in rows] == [
        ("succeeded", 1),
        ("queued", 0),
        ("queued", 0),
    ]
    await ground.worker()
    ground.open_gate("late")
    assert (await ground.ended(long)).attempt == 1
    await promises_kept(ground)


@on_both_databases
async def test_a_stop_signal_that_comes_twice_costs_no_attempt(ground: Ground) -> None:
    """Row 3: a supervisor and a terminal both tell the worker."""
    worker = await ground.worker(drain=1)
    ids = [await ground.put(kinds.held, f"job{number}", "gate") for number in range(10)]
    await until(lambda: len(ground.starts()) == 10, "ten starts")
    worker.signal(signal.SIGTERM)
    await asyncio.sleep(0.003)
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    rows = await ground.jobs(ids)
    assert {(row.state, row.attempt) for row in rows} == {("queued", 0)}
    await ground.worker()
    ground.open_gate("gate")
    await promises_kept(ground)


@on_both_databases
async def test_a_job_interrupted_by_twenty_restarts_still_has_all_its_attempts(
    ground: Ground,
) -> None:
    """Row 4."""
    times = 20
    job_id = await ground.put(kinds.held, "held", "gate")
    for time in range(1, times + 1):
        worker = await ground.worker(drain=0.1)
        await ground.started("held", time)
        assert await worker.stop() == 0
    await ground.worker()
    ground.open_gate("gate")
    assert (await ground.ended(job_id)).attempt == 1
    assert len(ground.starts("held")) == times + 1
    await promises_kept(ground)
