"""A key that keeps work from being done twice at once, and not from being done again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from ai_investment.db import Database, db_now
from ai_investment.identity.models import UserRow
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.run import Runner
from tests.jobs import kinds
from tests.jobs.kinds import Tools
from tests.jobs.steps import put, row, take

CASE = Path(__file__).parents[1] / "cases" / "job-id-reuse"


async def test_a_source_is_refreshed_again_although_the_first_result_is_kept(
    database: Database, bell: Bell, tmp_path: Path
) -> None:
    """tests/cases/job-id-reuse, step by step."""
    expected = json.loads((CASE / "expected.json").read_text())
    async with database.transaction() as db:
        db.add(UserRow(id="usr_effect", role="user", name="", created_at=db_now()))
    feed, tools = tmp_path / "feed", Tools()
    runner = Runner(database, bell, tools)

    async def asked() -> str:
        return await put(database, kinds.refreshes, str(feed))

    async def ended() -> list[str]:
        return [await runner.run(claimed) for claimed in await take(database)]

    feed.write_text("old")
    first = await asked()
    assert await ended() == ["succeeded"]
    feed.write_text("new")
    third = await asked()
    assert await ended() == ["succeeded"]
    assert len(tools.ran) == expected["runs_step_1_to_3"]
    results = [(await row(database, job_id)).result for job_id in (first, third)]
    assert results == [{"content": "old"}, {"content": "new"}]
    twice = await asyncio.gather(asked(), asked())
    assert await ended() == ["succeeded"]
    assert len(tools.ran) == expected["runs_step_1_to_3"] + expected["runs_step_4"]
    assert twice[0] == twice[1]
    assert twice[0] not in (first, third)
    await runner.close()
