"""When sources run: once for each time, later and later while they fail, and what the health check says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa

from ai_investment.adapters.reader import ReaderProcess
from ai_investment.cli.sources import ready_made
from ai_investment.content.objects import Objects
from ai_investment.content.sources import define
from ai_investment.content.sources.define import PAUSE_AFTER, NewSource
from ai_investment.content.sources.due import start_due
from ai_investment.content.sources.fetching import Fetched, TryLater
from ai_investment.content.sources.models import Source, SourceRun
from ai_investment.content.sources.sync import sync_source
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import claim
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import Job
from ai_investment.jobs.run import Runner


class Broken:
    """A site in trouble."""

    async def __call__(self, url: str, **_: Any) -> Fetched:
        raise TryLater("The site answered 500.")


class Use:
    def __init__(self, folder: Path) -> None:
        self.fetch = Broken()
        self.reader = ReaderProcess()
        self.objects = Objects(folder)
        self.folders = folder


def source(name: str = "s", **more: Any) -> NewSource:
    fields = {"kind": "page", "url": "https://example.org/", "publisher": "P", "licence": "L"}
    return msgspec.convert({"name": name, **fields, **more}, NewSource)


async def put(database: Database, new: NewSource) -> str:
    async with database.transaction() as db:
        made, _ = await define.put(db, new, frozenset())
        return made.id


async def run_waiting(
    database: Database, bell: Bell, kind: JobKind[Any, ...], use: Any
) -> list[str]:
    runner = Runner(database, bell, use)
    done = [await runner.run(item) for item in await claim(database, "pipeline", [kind.name], 10)]
    await runner.close()
    return done


async def one(database: Database, query: Any) -> Any:
    async with database.reading() as read:
        return (await read.execute(query)).one()


async def test_a_due_source_is_started_once_for_each_time(
    database: Database, bell: Bell, tmp_path: Path
) -> None:
    await put(database, source("due"))
    await put(database, source("paused"))
    async with database.transaction() as db:
        await db.execute(sa.update(Source).where(Source.name == "paused").values(state="paused"))
    for _ in range(2):
        async with database.transaction() as db:
            await enqueue(db, None, start_due)
        assert await run_waiting(database, bell, start_due, Use(tmp_path)) == ["succeeded"]
    count = sa.select(sa.func.count()).where(Job.kind == sync_source.name)
    assert (await one(database, count))[0] == 1
    due = await one(database, sa.select(Source.next_run_at).where(Source.name == "due"))
    assert due.next_run_at > datetime.now(UTC)


async def test_a_failing_source_is_put_off_and_at_last_paused(
    database: Database, bell: Bell, tmp_path: Path
) -> None:
    source_id = await put(database, source("failing", kind="rss", schedule="*/5 * * * *"))
    waits = []
    for _ in range(PAUSE_AFTER):
        async with database.transaction() as db:
            await enqueue(db, None, sync_source, source_id=source_id)
        assert await run_waiting(database, bell, sync_source, Use(tmp_path)) == ["succeeded"]
        row = await one(database, sa.select(Source).where(Source.id == source_id))
        waits.append(row.next_run_at - datetime.now(UTC))
    assert all(later > earlier for earlier, later in pairwise(waits[1:]))
    assert waits[-1] > timedelta(hours=2)
    assert (row.state, row.failures) == ("paused", PAUSE_AFTER)
    assert "The site answered 500" in row.paused_because
    runs = sa.select(sa.func.count()).where(SourceRun.state == "failed")
    assert (await one(database, runs))[0] == PAUSE_AFTER


def test_ready_made_sources_are_valid_and_name_their_terms() -> None:
    found = ready_made()
    assert {"official", "open"} == {entry["trust"] for entry in found.values()}
    for entry in found.values():
        new = msgspec.convert(entry, NewSource)
        define._check(new, frozenset())
        assert new.url.startswith("https://")
        assert len(new.licence) > 10
    publishers = " ".join(entry["publisher"] for entry in found.values())
    for name in ("Securities and Exchange", "Investor.gov", "FINRA", "Financial Conduct", "European Securities",
                 "Federal Reserve", "European Central Bank", "Bank of England", "Wikipedia"):  # fmt: skip
        assert name in publishers


def test_the_health_check_tells_how_the_sources_are(admin: httpx.Client) -> None:
    check = admin.get("/health/detailed").json()["checks"]["data_pipeline"]
    assert "documents" in check["detail"]
    assert "sources" in check["detail"]
