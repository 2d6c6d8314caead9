"""Operators see everybody's jobs and retry dead ones."""

from __future__ import annotations

import asyncio
import json

import httpx
import sqlalchemy as sa

from ai_investment.db import Database
from ai_investment.jobs.models import Job
from tests.installation import Installation, asked, finished


def bury(installation: Installation, job_id: str) -> None:
    """As if the job had used up its attempts."""

    async def go() -> None:
        database = Database(installation.env["DATABASE_URL"])
        async with database.transaction() as db:
            await db.execute(
                sa.update(Job)
                .where(Job.id == job_id)
                .values(state="failed", dead=True, result=None, attempt=4)
            )
        await database.dispose()

    asyncio.run(go())


def test_a_dead_job_is_found_and_retried_by_an_operator(
    installation: Installation, api: httpx.Client, admin: httpx.Client
) -> None:
    job = asked(api, "What is a fund?")
    bury(installation, job["id"])
    dead = admin.get("/api/v1/admin/jobs", params={"dead": "true"}).json()["items"]
    assert [item["id"] for item in dead] == [job["id"]]
    retried = admin.post(f"/api/v1/admin/jobs/{job['id']}/retry")
    assert retried.status_code == 202
    again = finished(api, retried.json())
    assert (again["state"], again["attempt"]) == ("succeeded", 1)
    assert admin.post(f"/api/v1/admin/jobs/{job['id']}/retry").status_code == 409
    assert admin.post("/api/v1/admin/jobs/job_none/retry").status_code == 404


def test_operators_pages_are_closed_to_others(api: httpx.Client) -> None:
    assert api.get("/api/v1/admin/jobs").status_code == 403
    assert api.post("/api/v1/admin/jobs/job_1/retry").status_code == 403


def test_more_questions_at_once_than_the_quota_are_429_with_the_time_to_come_back(
    scene_client: httpx.Client,
) -> None:
    answers = [
        scene_client.post("/api/v1/chat/messages", json={"message": "What is a fund?"})
        for _ in range(25)
    ]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 5
    assert int(refused[0].headers["retry-after"]) > 0
    assert refused[0].json()["title"] == "Too many jobs at once"


def test_the_command_line_lists_and_retries(installation: Installation, api: httpx.Client) -> None:
    job = asked(api, "What is a bond?")
    bury(installation, job["id"])
    client = {
        "AI_INVESTMENT_URL": installation.url,
        "AI_INVESTMENT_API_KEY": installation.key("admin"),
    }
    listed = json.loads(installation.cli("jobs", "list", "--dead", "--json", env=client).stdout)
    assert job["id"] in [item["id"] for item in listed]
    assert "queued" in installation.cli("jobs", "retry", job["id"], env=client).stdout
    assert finished(api, api.get(f"/api/v1/jobs/{job['id']}").json())["state"] == "succeeded"
