"""What a poll costs."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import AsyncTestClient

from ai_investment.app import litestar_app
from ai_investment.db import Database, db_now
from ai_investment.identity.keys import create_key
from ai_investment.jobs.models import Job
from ai_investment.settings import Settings
from tests.services import RedisServer


@pytest.mark.parametrize("suffix", ["", "?wait=1"])
async def test_a_poll_is_answered_in_one_query(
    database_url: str, redis_server: RedisServer, tmp_path: Path, suffix: str
) -> None:
    settings = Settings(
        database_url=database_url, redis_url=redis_server.url, ai_investment_data_directory=tmp_path
    )
    database = Database(database_url)
    async with database.transaction() as db:
        key = await create_key(db, settings.secret_key, name="a", role="user", days=None)
        db.add(Job(id="job_1", kind="k", queue="answers", owner_id=key.user_id, args={}, state="succeeded",
                   max_attempts=1, lease_seconds=1, run_at=db_now(), created_at=db_now()))  # fmt: skip
    await database.dispose()
    statements: list[str] = []
    app: Litestar = litestar_app(settings)
    async with AsyncTestClient(app) as client:
        # The process reads its library when it starts; from then on only requests ask the database.
        search = await client.get("/api/v1/content/search?q=x", headers={"X-API-Key": key.key})
        assert "lexical" not in search.json()["degraded"]
        engine = app.state.database.engine.sync_engine
        sa.event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        response: httpx.Response = await client.get(
            f"/api/v1/jobs/job_1{suffix}", headers={"X-API-Key": key.key}
        )
    assert response.status_code == 200
    assert response.json()["state"] == "succeeded"
    assert len([statement for statement in statements if not statement.startswith("BEGIN")]) == 1
