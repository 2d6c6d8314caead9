"""Who goes first: priorities, turns, quotas, uniqueness; on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from ai_investment.db import Database, db_now
from ai_investment.jobs.claim import claim
from ai_investment.jobs.enqueue import enqueue, enqueue_many, retry
from ai_investment.jobs.errors import TooManyJobs
from ai_investment.jobs.models import Job
from tests.jobs import kinds

KINDS = ["test.effect", "test.urgent", "test.few", "test.only"]


async def put(database: Database, owner: str | None, kind: Any, name: str) -> str:
    async with database.transaction() as db:
        return (await enqueue(db, owner, kind, name)).id


async def order(database: Database, count: int) -> list[str]:
    """The names of the next jobs, claimed one by one."""
    names = []
    for _ in range(count):
        [claimed] = await claim(database, "delivery", KINDS, 1)
        names.append(claimed.args["name"])
    return names


async def test_jobs_of_one_owner_run_in_the_order_they_were_accepted(database: Database) -> None:
    for name in "abcde":
        await put(database, "usr_a", kinds.effect, name)
    assert await order(database, 5) == list("abcde")


async def test_a_person_waiting_goes_before_a_nightly_batch(database: Database) -> None:
    await put(database, None, kinds.effect, "batch")
    await put(database, "usr_a", kinds.urgent, "person")
    assert await order(database, 2) == ["person", "batch"]


@pytest.mark.parametrize("many", [False, True], ids=["one by one", "in a batch"])
async def test_nobody_waits_for_a_flooder(database: Database, many: bool) -> None:
    if many:
        async with database.transaction() as db:
            await enqueue_many(
                db, "usr_flood", kinds.effect, [{"name": "flood"} for _ in range(100)]
            )
    else:
        for _ in range(30):
            await put(database, "usr_flood", kinds.effect, "flood")
    for owner in ("usr_a", "usr_b"):
        for number in range(3):
            await put(database, owner, kinds.effect, f"{owner}{number}")
    first = await order(database, 12)
    assert {name for name in first if name != "flood"} == {
        f"usr_{o}{n}" for o in "ab" for n in range(3)
    }


async def test_an_owner_who_asks_now_and_then_is_not_put_behind(database: Database) -> None:
    await put(database, "usr_a", kinds.effect, "first")
    await order(database, 1)
    await put(database, "usr_a", kinds.effect, "second")
    await put(database, "usr_b", kinds.effect, "third")
    assert await order(database, 2) == ["second", "third"]


async def test_a_batch_is_one_transaction_with_all_or_nothing(database: Database) -> None:
    async with database.transaction() as db:
        ids = await enqueue_many(db, "usr_a", kinds.effect, [{"name": str(n)} for n in range(2500)])
    assert len(set(ids)) == 2500
    claimed = await claim(database, "delivery", KINDS, 3000)
    assert sorted(int(item.args["name"]) for item in claimed) == list(range(2500))


async def test_a_quota_is_429_and_counts_live_jobs_of_the_kind_and_owner_only(
    database: Database,
) -> None:
    for name in "ab":
        await put(database, "usr_a", kinds.few, name)
    await put(database, "usr_a", kinds.effect, "other kind")
    await put(database, "usr_b", kinds.few, "other owner")
    with pytest.raises(TooManyJobs) as caught:
        await put(database, "usr_a", kinds.few, "c")
    assert (caught.value.status, caught.value.retry_after) == (429, 5)
    async with database.transaction() as db:
        await db.execute(sa.update(Job).where(Job.kind == "test.few").values(state="succeeded"))
    await put(database, "usr_a", kinds.few, "c")


async def test_asking_twice_for_one_thing_gives_the_same_job_while_it_lives(
    database: Database,
) -> None:
    first = await put(database, None, kinds.only, "feed")
    assert await put(database, None, kinds.only, "feed") == first
    assert await put(database, None, kinds.only, "other") != first
    await order(database, 2)
    assert await put(database, None, kinds.only, "feed") == first  # it runs


async def test_asking_again_after_it_has_ended_really_runs_again(database: Database) -> None:
    first = await put(database, None, kinds.only, "feed")
    async with database.transaction() as db:
        await db.execute(
            sa.update(Job).values(state="succeeded", finished_at=db_now(), result={"old": True})
        )
    second = await put(database, None, kinds.only, "feed")
    assert second != first
    assert await order(database, 1) == ["feed"]


async def test_ten_who_ask_at_once_for_one_thing_get_one_job(database: Database) -> None:
    ids = await asyncio.gather(*(put(database, None, kinds.only, "feed") for _ in range(10)))
    assert len(set(ids)) == 1


async def test_an_operators_retry_gives_a_dead_job_all_its_attempts_again(
    database: Database,
) -> None:
    job_id = await put(database, "usr_a", kinds.effect, "a")
    async with database.transaction() as db:
        await db.execute(
            sa.update(Job).values(state="failed", dead=True, attempt=3, finished_at=db_now())
        )
        assert await retry(db, job_id)
        assert not await retry(db, job_id)
    [claimed] = await claim(database, "delivery", KINDS, 1)
    assert (claimed.id, claimed.attempt) == (job_id, 1)
