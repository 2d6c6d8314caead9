"""The engine on real SQLite and PostgreSQL, and a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from ai_investment.db import Database, db_now
from ai_investment.identity.models import UserRow
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import Claimed, claim, write
from ai_investment.jobs.enqueue import cancel, enqueue
from ai_investment.jobs.errors import LeaseLost
from ai_investment.jobs.models import Job
from ai_investment.jobs.run import Runner
from ai_investment.jobs.sweep import sweep
from tests.jobs import kinds
from tests.jobs.kinds import Tools
from tests.jobs.steps import expire_lease, put, row, take


@pytest.fixture(autouse=True)
async def effect_row(database: Database) -> None:
    async with database.transaction() as db:
        db.add(UserRow(id="usr_effect", role="user", name="", created_at=db_now()))


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def background() -> AsyncIterator[list[asyncio.Task[Any]]]:
    tasks: list[asyncio.Task[Any]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def effects(database: Database) -> str:
    async with database.reading() as read:
        return (
            await read.execute(sa.select(UserRow.name).where(UserRow.id == "usr_effect"))
        ).scalar_one()


@pytest.fixture
async def runner(database: Database, bell: Bell, tools: Tools) -> AsyncIterator[Runner]:
    runner = Runner(database, bell, tools)
    yield runner
    await runner.close()


async def test_a_committed_job_is_on_the_queue_and_runs_once(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    job_id = await put(database, kinds.effect, "a")
    [claimed] = await take(database)
    assert await runner.run(claimed) == "succeeded"
    done = await row(database, job_id)
    assert (done.state, done.attempt, done.result, done.lease_until) == (
        "succeeded",
        1,
        {"name": "a"},
        None,
    )
    assert done.created_at <= done.started_at <= done.finished_at
    assert await effects(database) == "a"


async def test_a_rolled_back_transaction_leaves_no_job_and_no_message(
    database: Database, bell: Bell
) -> None:
    async def undone() -> None:
        async with database.transaction() as db:
            await enqueue(db, None, kinds.effect, "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await undone()
    assert await bell.take("delivery", 10) == 0
    async with database.reading() as read:
        assert (await read.execute(sa.select(sa.func.count()).select_from(Job))).scalar_one() == 0


async def test_ten_claims_at_once_get_each_job_once(database: Database) -> None:
    ids = [await put(database, kinds.effect, str(number)) for number in range(5)]
    claims = await asyncio.gather(*(take(database) for _ in range(10)))
    assert sorted(item.id for claimed in claims for item in claimed) == ids


async def test_one_statement_claims_many_jobs_up_to_the_limit(database: Database) -> None:
    ids = [await put(database, kinds.effect, str(number)) for number in range(20)]
    assert [len(await take(database, limit)) for limit in (15, 15, 15)] == [15, 5, 0]
    assert len(ids) == 20


async def test_a_kind_this_worker_does_not_know_is_left_for_another(database: Database) -> None:
    job_id = await put(database, kinds.effect, "a")
    assert await claim(database, "delivery", ["test.other"], 10) == []
    assert (await row(database, job_id)).state == "queued"


async def test_a_run_whose_lease_was_taken_over_writes_nothing(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    job_id = await put(database, kinds.effect, "a")
    [old] = await take(database)
    await expire_lease(database, job_id)
    await sweep(database, bell)
    [new] = await take(database)
    assert (new.attempt, new.fence) == (2, old.fence + 1)
    assert await runner.run(old) == "lease lost"
    assert await effects(database) == ""
    with pytest.raises(LeaseLost):
        async with database.transaction() as db:
            await write(db, old, progress={})
    assert await runner.run(new) == "succeeded"
    assert await effects(database) == "a"


async def test_the_heartbeat_keeps_the_lease_of_long_work(
    database: Database,
    bell: Bell,
    tools: Tools,
    runner: Runner,
    background: list[asyncio.Task[Any]],
) -> None:
    await put(database, kinds.held, "a")
    [claimed] = await take(database)
    running = asyncio.create_task(runner.run(claimed))
    background.append(running)
    await asyncio.sleep(1.6)  # more than the whole lease
    assert (await sweep(database, bell))["reclaimed"] == 0
    tools.gate.set()
    assert await running == "succeeded"


async def test_a_heartbeat_that_finds_another_fence_ends_the_run(
    database: Database,
    bell: Bell,
    tools: Tools,
    runner: Runner,
    background: list[asyncio.Task[Any]],
) -> None:
    job_id = await put(database, kinds.held, "a")
    [claimed] = await take(database)
    running = asyncio.create_task(runner.run(claimed))
    background.append(running)
    await tools.entered.wait()
    async with database.transaction() as db:
        await db.execute(sa.update(Job).where(Job.id == job_id).values(fence=99))
    assert await asyncio.wait_for(running, 5) == "lease lost"
    assert await effects(database) == ""


async def test_a_problem_ends_the_job_with_its_words(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    job_id = await put(database, kinds.refuses)
    [claimed] = await take(database)
    assert await runner.run(claimed) == "failed"
    done = await row(database, job_id)
    assert (done.state, done.dead, done.attempt) == ("failed", False, 1)
    assert done.error["detail"] == "The shop is closed."


async def test_an_unforeseen_error_is_tried_again_later_then_goes_to_the_dead_letter(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    job_id = await put(database, kinds.breaks)
    [claimed] = await take(database)
    assert await runner.run(claimed) == "retry"
    waiting = await row(database, job_id)
    assert waiting.state == "queued"
    assert waiting.run_at > waiting.started_at
    assert await take(database) == []  # not before its time
    [second] = await _at_once(database, job_id)
    assert await runner.run(second) == "dead"
    done = await row(database, job_id)
    assert (done.state, done.dead, done.attempt) == ("failed", True, 2)
    assert "secret" not in str(done.error)


async def test_later_costs_no_attempt(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    job_id = await put(database, kinds.later)
    for _ in range(4):
        [claimed] = await _at_once(database, job_id)
        assert await runner.run(claimed) == "later"
    assert (await row(database, job_id)).attempt == 0


async def _at_once(database: Database, job_id: str) -> list[Claimed]:
    """Claim a delayed job as if its time had come."""
    async with database.transaction() as db:
        await db.execute(sa.update(Job).where(Job.id == job_id).values(run_at=db_now(-1)))
    return await take(database)


async def test_a_failure_inside_the_settle_undoes_the_effects(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    await put(database, kinds.half)
    [claimed] = await take(database)
    assert await runner.run(claimed) == "failed"
    assert await effects(database) == ""


async def test_a_stopping_worker_gives_the_job_back_without_costing_an_attempt(
    database: Database, bell: Bell, tools: Tools, runner: Runner
) -> None:
    job_id = await put(database, kinds.held, "a")
    for _ in range(5):  # more often than it has attempts
        [claimed] = await take(database)
        running = asyncio.create_task(runner.run(claimed))
        await asyncio.wait_for(tools.entered.wait(), 5)
        tools.entered.clear()
        running.cancel()
        assert await running == "released"
    waiting = await row(database, job_id)
    assert (waiting.state, waiting.attempt, waiting.lease_until) == ("queued", 0, None)


async def test_a_waiting_job_is_cancelled_at_once_and_its_message_claims_nothing(
    database: Database, bell: Bell
) -> None:
    job_id = await put(database, kinds.effect, "a")
    async with database.transaction() as db:
        await cancel(db, job_id)
    assert (await row(database, job_id)).state == "cancelled"
    assert await take(database) == []


async def test_a_running_job_is_cancelled_at_its_next_heartbeat(
    database: Database,
    bell: Bell,
    tools: Tools,
    runner: Runner,
    background: list[asyncio.Task[Any]],
) -> None:
    job_id = await put(database, kinds.held, "a")
    [claimed] = await take(database)
    running = asyncio.create_task(runner.run(claimed))
    background.append(running)
    await tools.entered.wait()
    async with database.transaction() as db:
        await cancel(db, job_id)
    assert await asyncio.wait_for(running, 5) == "cancelled"
    assert (await row(database, job_id)).state == "cancelled"
    assert await effects(database) == ""


async def test_a_forged_message_runs_nothing_and_is_not_even_read(
    database: Database, bell: Bell
) -> None:
    await bell.redis.set("arq:job:forged:1", b"\x80\x04\x95 pickle, or anything else")
    await bell.redis.zadd("arq:delivery", {"forged:1": 1})
    assert await bell.take("delivery", 10) == 1
    assert await take(database) == []


async def test_a_message_is_json_with_the_jobs_id_and_attempt_and_nothing_else(
    database: Database, bell: Bell
) -> None:
    job_id = await put(database, kinds.effect, "a private word")
    [member] = await bell.redis.zrange("arq:delivery", 0, -1)
    message = json.loads(await bell.redis.get(b"arq:job:" + member))
    assert (message["f"], message["a"], message["k"]) == ("run_job", [job_id, 1], {})


async def test_unknown_or_missing_arguments_are_refused_when_the_job_is_accepted(
    database: Database,
) -> None:
    with pytest.raises(TypeError):
        await put(database, kinds.effect)
    with pytest.raises(TypeError):
        await put(database, kinds.effect, "a", "b")


async def test_a_commit_stands_while_redis_is_away(database_url: str) -> None:
    from ai_investment.adapters.redis import connect_redis
    from tests.services import free_port

    nobody = connect_redis(f"redis://127.0.0.1:{free_port()}/0")
    database = Database(database_url, Bell(nobody).publish)
    job_id = await put(database, kinds.effect, "a")
    assert (await row(database, job_id)).state == "queued"
    await database.dispose()
    await nobody.aclose()
