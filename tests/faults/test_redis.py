"""Redis loses everything, hangs, is full, or repeats itself: the rows in SQL are the truth."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from random import Random

import pytest
from redis.exceptions import RedisError

from ai_investment.adapters.redis import connect_redis
from ai_investment.jobs.bell import queue_key
from ai_investment.jobs.enqueue import Ring
from tests.faults import kinds
from tests.faults.both import on_both_databases
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.seeds import seeded
from tests.faults.site import Site
from tests.faults.waiting import until
from tests.services import RedisServer

LOSSES: dict[str, Callable[[RedisServer], object]] = {
    "killed": RedisServer.restart_empty,
    "flushed": lambda server: server.client().flushall(),
}


@pytest.mark.parametrize("loss", LOSSES)
@on_both_databases
async def test_redis_loses_everything_and_twenty_of_twenty_jobs_end(
    ground: Ground, loss: str
) -> None:
    """Rows 5 and 6: ten jobs run and ten wait when it happens."""
    await ground.worker(slots=10)
    ids = [await ground.put(kinds.held, f"job{number}", "gate") for number in range(20)]
    await until(lambda: len(ground.starts()) == 10, "ten running jobs")
    LOSSES[loss](ground.redis)
    ground.open_gate("gate")
    await promises_kept(ground)
    rows = await ground.jobs(ids)
    assert {(row.state, row.attempt) for row in rows} == {("succeeded", 1)}


@seeded
@on_both_databases
async def test_redis_lost_at_any_moment_of_a_stream_of_jobs_costs_none(
    ground: Ground, seed: int
) -> None:
    """Row 6: whatever was being published, taken or announced."""
    chance = Random(seed)
    await ground.worker(slots=5)

    async def lose() -> None:
        for _ in range(3):
            await asyncio.sleep(chance.uniform(0, 0.3))
            ground.redis.client().flushall()

    losing = asyncio.create_task(lose())
    for _ in range(60):
        await ground.put(kinds.timed, chance.uniform(0, 0.02))
    await losing
    await promises_kept(ground)


async def test_questions_are_promised_and_answered_while_redis_is_gone(site: Site) -> None:
    """Row 5."""
    person = await site.person()
    await site.worker("answers")
    site.redis.process.kill()
    during = [await person.asked() for _ in range(3)]
    for job_id in during:  # workers look into SQL as long as there is no bell
        job = await person.job(job_id, wait=20)
        assert job["state"] == "succeeded", job
    site.redis.start()
    await person.asked()
    await promises_kept(site)


async def test_a_full_redis_refuses_no_question_and_the_waiting_shows(site: Site) -> None:
    """Row 7."""
    person, operator = await site.person(), await site.person("admin")
    redis = site.redis.client()
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)
    full = [await person.asked() for _ in range(5)]

    async def backlog_shows() -> bool:
        text = (await operator.http.get("/metrics")).text
        [waited] = re.findall(r'jobs_oldest_waiting_seconds{queue="answers"} (\S+)', text)
        return float(waited) > 1

    await until(backlog_shows, "the backlog in the metrics")
    await site.worker("answers")
    redis.config_set("maxmemory", 0)
    await promises_kept(site)
    assert len(await site.in_state("succeeded", full)) == 5


@on_both_databases
async def test_a_worker_works_on_while_redis_is_full(ground: Ground) -> None:
    """Row 7."""
    await ground.worker()
    redis = ground.redis.client()
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)
    try:
        for _ in range(10):
            await ground.put(kinds.timed, 0.01)
        await promises_kept(ground)
    finally:
        redis.config_set("maxmemory", 0)


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
async def test_a_hanging_redis_holds_no_request_for_long_and_no_answer_for_ever(
    site: Site,
) -> None:
    """Row 8."""
    person = await site.person()
    await site.worker("answers")
    await person.asked()  # connections are open when it begins to hang
    site.redis.process.signal(signal.SIGSTOP)
    async with asyncio.timeout(20):  # our time-outs together are far below this
        job_id = await person.asked()
    assert (await person.job(job_id, wait=3))["id"] == job_id
    site.redis.process.signal(signal.SIGCONT)
    await person.asked()
    await promises_kept(site)


async def test_a_redis_that_has_hung_for_a_minute_is_given_up_as_quickly_as_at_first(
    redis_servers: dict[str, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 8: idle connections are checked before they are used, and the check hangs as well."""
    redis_server = redis_servers["sqlite"]
    redis = connect_redis(redis_server.url)
    await redis.ping()
    loop = asyncio.get_running_loop()
    now = loop.time
    redis_server.process.signal(signal.SIGSTOP)
    try:
        monkeypatch.setattr(loop, "time", lambda: now() + 60)
        pinging = asyncio.ensure_future(redis.ping())
        done, _ = await asyncio.wait({pinging}, timeout=15)
        pinging.cancel()
    finally:
        redis_server.process.signal(signal.SIGCONT)
        await redis.aclose()
    assert done, "still waiting after 15 s"
    assert isinstance(pinging.exception(), RedisError | OSError)


@on_both_databases
async def test_messages_of_jobs_that_run_or_have_ended_start_nothing(ground: Ground) -> None:
    """Row 10: published again because nobody had noted the first time."""
    await ground.worker()
    done = await ground.put(kinds.held, "done", "open")
    doing = await ground.put(kinds.held, "doing", "late")
    ground.open_gate("open")
    await ground.ended(done)
    await ground.started("doing")
    for _ in range(5):
        await ground.bell.publish(
            [Ring("delivery", job_id, attempt) for job_id in (done, doing) for attempt in (1, 2)]
        )
        await until(lambda: _heard(ground), "the messages being taken")
    ground.open_gate("late")
    await ground.ended(doing)
    assert sorted(start.name for start in ground.starts()) == ["doing", "done"]
    await promises_kept(ground)


async def _heard(ground: Ground) -> bool:
    return int(await ground.bell.redis.zcard(queue_key("delivery"))) == 0


@seeded
@on_both_databases
async def test_ten_messages_of_one_job_heard_by_three_workers_are_one_claim(
    ground: Ground, seed: int
) -> None:
    """Row 11."""
    for _ in range(3):
        await ground.worker()
    for number in range(10):
        job_id = await ground.put(kinds.held, f"job{number}", "gate")
        rings = [Ring("delivery", job_id, attempt) for attempt in range(1, 11)]
        await asyncio.gather(*(ground.bell.publish([ring]) for ring in rings))
    await until(lambda: len(ground.starts()) == 10, "ten starts")
    await until(lambda: _heard(ground), "the messages being taken")
    ground.open_gate("gate")
    await promises_kept(ground)
    assert {row.fence for row in await ground.jobs(list(ground.accepted))} == {1}
    assert len(ground.starts()) == 10
