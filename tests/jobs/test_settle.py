"""Ends that are written together."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import claim
from ai_investment.jobs.enqueue import enqueue_many
from ai_investment.jobs.models import Job
from ai_investment.jobs.run import Runner
from tests.jobs import kinds
from tests.jobs.kinds import Tools


@pytest.fixture
async def texts() -> list[str]:
    return ["plain", 'quotes " and \\', "ünïcode 🦊", "", "null", "[1]", "new\nline"]


async def test_results_of_jobs_that_end_together_are_each_their_own(
    database: Database, bell: Bell, texts: list[str]
) -> None:
    async with database.transaction() as db:
        ids = await enqueue_many(db, None, kinds.returns, [{"text": text} for text in texts])
    runner = Runner(database, bell, Tools())
    claimed = await claim(database, "delivery", ["test.returns"], 100)
    assert set(await asyncio.gather(*map(runner.run, claimed))) == {"succeeded"}
    await runner.close()
    async with database.reading() as read:
        rows = (
            await read.execute(
                sa.select(Job.id, Job.state, Job.result, Job.lease_until, Job.finished_at)
            )
        ).all()
    results = {row.id: row.result for row in rows}
    assert [results[job_id] for job_id in ids] == [{"text": text} for text in texts]
    assert all(
        row.state == "succeeded" and row.lease_until is None and row.finished_at for row in rows
    )


async def test_a_lost_lease_among_them_is_refused_alone(database: Database, bell: Bell) -> None:
    async with database.transaction() as db:
        ids = await enqueue_many(
            db, None, kinds.returns, [{"text": str(number)} for number in range(5)]
        )
    runner = Runner(database, bell, Tools())
    claimed = await claim(database, "delivery", ["test.returns"], 100)
    async with database.transaction() as db:
        await db.execute(sa.update(Job).where(Job.id == ids[2]).values(fence=Job.fence + 1))
    outcomes = dict(
        zip(
            [item.id for item in claimed],
            await asyncio.gather(*map(runner.run, claimed)),
            strict=True,
        )
    )
    await runner.close()
    assert outcomes[ids[2]] == "lease lost"
    assert [outcome for job_id, outcome in outcomes.items() if job_id != ids[2]] == [
        "succeeded"
    ] * 4


async def test_a_result_the_database_refuses_does_not_take_the_others_with_it(
    database: Database, bell: Bell
) -> None:
    async with database.transaction() as db:
        good, bad = await enqueue_many(db, None, kinds.returns, [{"text": "good"}, {"text": "bad"}])
    runner = Runner(database, bell, Tools())
    claimed = {item.id: item for item in await claim(database, "delivery", ["test.returns"], 100)}
    claimed[bad].args["text"] = "\x00"  # PostgreSQL's JSON has no such character
    outcomes = await asyncio.gather(runner.run(claimed[good]), runner.run(claimed[bad]))
    await runner.close()
    assert outcomes[0] == "succeeded"
    assert outcomes[1] in ("succeeded", "retry")
