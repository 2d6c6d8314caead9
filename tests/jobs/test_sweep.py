"""The sweeper: bells rung again, leases taken back, and what was in a crash kept apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import sqlalchemy as sa

from ai_investment.db import Database, db_now
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import APART, CLEAR, SUSPECT, Claimed
from ai_investment.jobs.models import Job
from ai_investment.jobs.sweep import sweep
from tests.jobs import kinds
from tests.jobs.steps import expire_lease, put, row, take


async def test_the_sweeper_rings_again_for_jobs_that_redis_lost(
    database: Database, bell: Bell
) -> None:
    ids = {await put(database, kinds.effect, str(number)) for number in range(20)}
    await bell.redis.flushall()
    async with database.transaction() as db:
        await db.execute(sa.update(Job).values(run_at=db_now(-10)))
    assert (await sweep(database, bell))["republished"] == 20
    assert (await sweep(database, bell))["republished"] == 0  # they are on the queue now
    assert await bell.take("delivery", 100) == 20
    assert {item.id for item in await take(database)} == ids


async def test_a_job_that_kills_its_worker_each_time_goes_to_the_dead_letter(
    database: Database, bell: Bell
) -> None:
    job_id = await put(database, kinds.effect, "a")
    for attempt in (1, 2, 3):
        [claimed] = await take(database)
        assert claimed.attempt == attempt
        await expire_lease(database, job_id)
        await sweep(database, bell)
    done = await row(database, job_id)
    assert (done.state, done.dead, done.lease_until) == ("failed", True, None)


async def test_two_sweepers_at_once_take_a_job_back_once(database: Database, bell: Bell) -> None:
    job_id = await put(database, kinds.effect, "a")
    await take(database)
    await expire_lease(database, job_id)
    counts = await asyncio.gather(*(sweep(database, bell) for _ in range(4)))
    assert sum(count["reclaimed"] for count in counts) == 1


async def crash(database: Database, bell: Bell, claimed: Sequence[Claimed]) -> None:
    """The worker that runs these dies, and the sweeper comes."""
    for one in claimed:
        await expire_lease(database, one.id)
    assert sum((await sweep(database, bell)).values()) == len(claimed)


async def test_after_one_crash_everything_is_tried_again_at_once(
    database: Database, bell: Bell
) -> None:
    ids = [await put(database, kinds.effect, str(number)) for number in range(5)]
    await crash(database, bell, await take(database))
    again = await take(database)
    assert sorted(one.id for one in again) == ids
    assert {(one.attempt, one.crashes, one.suspicion) for one in again} == {(2, 1, SUSPECT)}


async def test_after_two_crashes_each_is_tried_apart_and_clear_ones_beside_it(
    database: Database, bell: Bell
) -> None:
    ids = [await put(database, kinds.effect, str(number)) for number in range(3)]
    for _ in range(2):
        await crash(database, bell, await take(database))
    clear = [await put(database, kinds.effect, str(number)) for number in range(3)]
    first = await take(database)
    assert {one.id for one in first} == {ids[0], *clear}
    assert {one.id: one.suspicion for one in first}[ids[0]] == APART
    assert await take(database, suspicion=CLEAR) == []  # that worker takes none of the others
    assert [one.id for one in await take(database)] == [ids[1]]  # another worker does


async def test_the_last_attempt_is_made_apart_also_after_a_single_crash(
    database: Database, bell: Bell
) -> None:
    """So that a neighbour with more attempts cannot take it."""
    few = await put(database, kinds.breaks)
    many = await put(database, kinds.effect, "many")
    await crash(database, bell, await take(database))
    assert [one.id for one in await take(database, suspicion=APART - SUSPECT)] == [many]
    assert [one.id for one in await take(database)] == [few]


async def test_what_is_apart_waits_for_its_turn_behind_suspects(
    database: Database, bell: Bell
) -> None:
    many = await put(database, kinds.effect, "many")
    few = await put(database, kinds.breaks)
    await crash(database, bell, await take(database))
    assert [one.id for one in await take(database)] == [many]
    assert [one.id for one in await take(database)] == [few]
