"""PostgreSQL goes away, comes back, or keeps an answer to itself. SQLite has no server to lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest
import sqlalchemy as sa

from ai_investment.jobs.models import Job
from tests.faults import kinds
from tests.faults.conftest import prepared, through
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.proxy import Proxy, proxied
from tests.faults.seeds import seeded
from tests.faults.site import Person, Site
from tests.faults.waiting import until
from tests.services import PostgresServer, RedisServer

only_postgres = pytest.mark.parametrize("site", ["postgresql"], indirect=True)


@pytest.fixture
async def far(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_servers: dict[str, RedisServer],
    postgres: PostgresServer,
) -> AsyncIterator[tuple[Ground, Proxy]]:
    """A ground whose workers reach the database through a proxy; the test itself does not."""
    redis = redis_servers["postgresql"]
    with proxied(postgres.port) as proxy:
        async with prepared("postgresql", request, tmp_path / "far", redis) as ground:
            ground.env["DATABASE_URL"] = through(proxy, ground.database_url, postgres)
            yield ground, proxy


@only_postgres
async def test_postgres_restarts_under_load_and_every_question_is_promised_once(
    site: Site, postgres: PostgresServer
) -> None:
    """Row 12: 503 with Retry-After while it is away; nothing is restarted to heal."""
    people = [await site.person() for _ in range(4)]
    worker = await site.worker("delivery")
    for _ in range(20):
        await site.put(kinds.timed, 0.1)

    async def keep_asking(person: Person) -> list[httpx.Response]:
        return [
            answer for number in range(15) for answer in await person.insist(f"question-{number}")
        ]

    asking = [asyncio.create_task(keep_asking(person)) for person in people]
    await until(lambda: len(site.accepted) >= 20 + 8, "a few promises")
    postgres.stop()
    refused = await people[0].ask("meanwhile")
    postgres.start()
    answers = [answer for task in asking for answer in await task]
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["retry-after"]) >= 1
    others = {answer.status_code for answer in answers} - {202, 503}
    assert not others, [answer.text for answer in answers if answer.status_code in others]
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    await site.worker("answers")
    await promises_kept(site)
    assert len(site.accepted) == 20 + 60
    assert worker.alive


@only_postgres
async def test_a_commit_whose_answer_is_lost_is_one_job_for_whoever_asks_again(
    site: Site,
) -> None:
    """Row 13."""
    assert site.proxy is not None
    person = await site.person()
    await person.asked()
    site.stop()  # the scheduler's commits are not the ones to be lost
    swallowed = site.proxy.swallowed
    site.proxy.swallow_commits(1)
    first = await person.ask("the-same-key")
    assert first.status_code == 503
    assert site.proxy.swallowed == swallowed + 1
    [lost] = await _not_yet_promised(site)
    again = await person.ask("the-same-key")
    assert again.status_code == 202
    assert again.json()["job"]["id"] == lost
    assert again.headers["idempotency-replayed"] == "true"
    await site.scheduler()
    await site.worker("answers")
    await promises_kept(site)


async def _not_yet_promised(site: Site) -> list[str]:
    async with site.database.reading() as read:
        waiting = (await read.execute(sa.select(Job.id).where(Job.state == "queued"))).scalars()
        return [job_id for job_id in waiting if job_id not in site.accepted]


@seeded
async def test_workers_that_do_not_hear_of_their_commits_double_no_effect(
    far: tuple[Ground, Proxy], seed: int
) -> None:
    """Row 13, for claims, heartbeats and settles: executed, but the caller saw an error."""
    ground, proxy = far
    chance = Random(seed)
    worker = await ground.worker(slots=4)
    for _ in range(30):
        await ground.put(kinds.timed, chance.uniform(0, 0.1))
        if chance.random() < 0.3:
            proxy.swallow_commits(1)
            await asyncio.sleep(chance.uniform(0, 0.1))
    await promises_kept(ground)
    assert proxy.swallowed > 0
    assert worker.alive


@seeded
async def test_connections_cut_at_any_moment_lose_no_job_and_double_none(
    far: tuple[Ground, Proxy], seed: int
) -> None:
    """Row 12: a router restarts, a fail-over happens."""
    ground, proxy = far
    chance = Random(seed)
    worker = await ground.worker(slots=4)
    for _ in range(30):
        await ground.put(kinds.timed, chance.uniform(0, 0.1))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.1))
            proxy.cut()
    await promises_kept(ground)
    assert worker.alive


async def test_a_worker_frozen_in_a_transaction_keeps_the_sweeper_from_no_other_job(
    far: tuple[Ground, Proxy],
) -> None:
    """Row 2: its row stays locked, for as long as the connection of a frozen process lives."""
    ground, _ = far
    worker = await ground.worker()
    locked = await ground.put(kinds.held, "locked", "gate")
    other = await ground.put(kinds.held, "other", "gate")
    await until(lambda: len(ground.starts()) == 2, "both starts")
    worker.kill()
    async with ground.database.transaction() as db:  # what a heartbeat holds while it is written
        await db.execute(sa.select(Job.id).where(Job.id == locked).with_for_update())
        await ground.worker()
        await ground.started("other", 2)
    ground.open_gate("gate")
    await ground.ended(other)
    await promises_kept(ground)
