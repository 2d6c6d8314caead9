"""A site of more than 200 pages, papers and feeds is taken in, kept up with, and taken in the same however often
the work is broken off."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from ai_investment.adapters.reader import ReaderProcess
from ai_investment.content.models import Document, DocumentVersion
from ai_investment.content.objects import Objects
from ai_investment.content.sources import define
from ai_investment.content.sources.define import NewSource
from ai_investment.content.sources.fetching import Fetched, Gone
from ai_investment.content.sources.models import SourceItem, SourceRun
from ai_investment.content.sources.sync import Counts, backfill_source, sync_source
from ai_investment.db import Database, Db
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import claim
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import Job
from ai_investment.jobs.run import Runner
from tests.conftest import new_database
from tests.content.sources import added, counted, library, synced, versions
from tests.doubles.library import Library, write_listings, write_page
from tests.doubles.library import library as make_library
from tests.doubles.site import Site
from tests.installation import Installation

SITE = "http://library.example.org"


@pytest.mark.timeout(300)
def test_a_site_of_two_hundred_pages_is_taken_in_once_and_then_kept_up_with(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    if not installation.env["DATABASE_URL"].startswith("sqlite"):
        pytest.skip("once is enough; what differs between databases is tested with fewer pages")
    database = installation.env["DATABASE_URL"]
    made = make_library(site.url(""))
    site.pages |= made.pages
    whole = added(admin, "library", "sitemap", site.url("/sitemap.xml"))
    feeds = [added(admin, name, "rss", site.url(f"/{name}.xml")) for name in ("feed", "atom")]

    assert counted(synced(admin, whole)) == {"new": 212}
    for feed in feeds:
        assert counted(synced(admin, feed)) == {"unchanged": 20}
    before, embedded = library(database, whole["id"]), versions(database)
    assert len(before) == 212

    assert counted(synced(admin, whole)) == {"unchanged": 212}
    for feed in feeds:
        synced(admin, feed)
    assert versions(database) == embedded  # nothing was embedded

    edited = {write_page(made, number, seed=2) for number in range(100, 107)}
    removed = {f"/{path}" for path in ("news/150.html", "blog/151.html", "papers/3.pdf")}
    fresh = {write_page(made, number, seed=1) for number in range(200, 204)}
    for path in removed:
        made.pages.pop(path)
        site.pages.pop(path)
    write_listings(made, site.url(""))
    site.pages |= made.pages
    assert counted(synced(admin, whole)) == {"new": 4, "changed": 7, "unchanged": 202, "removed": 3}
    after = library(database, whole["id"])
    keys = {name: {f"url:{site.url(path)}" for path in paths}
            for name, paths in (("edited", edited), ("removed", removed), ("fresh", fresh))}  # fmt: skip
    assert set(after) == (set(before) - keys["removed"]) | keys["fresh"]
    assert {key for key in before if key in after and before[key] != after[key]} == keys["edited"]
    assert versions(database) == embedded + 11


class Killed(BaseException):
    """The process is gone."""


class Mortal(Database):
    """A database whose client dies before, in or right after its n-th transaction."""

    lives: float = float("inf")
    point: str = "before"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        self.lives -= 1
        if self.lives < 0 or (self.lives == 0 and self.point == "before"):
            raise Killed
        async with super().transaction() as db:
            yield db
            if self.lives == 0 and self.point == "in":
                raise Killed
        if self.lives == 0:
            raise Killed


class Pages:
    """A fetcher that has the pages in memory; some of them with an ETag."""

    def __init__(self, made: Library) -> None:
        self.made = made

    async def __call__(self, url: str, *, etag: str | None = None, **_: Any) -> Fetched:
        page = self.made.pages.get(url.removeprefix(SITE))
        if page is None:
            raise Gone("There is no such page (404).")
        body = page.body.encode() if isinstance(page.body, str) else page.body
        assert isinstance(body, bytes)
        mark = f'"{hash(body)}"' if len(url) % 2 else None
        same = mark is not None and mark == etag
        return Fetched(
            url,
            b"" if same else body,
            page.headers.get("Content-Type"),
            etag=mark,
            not_modified=same,
        )


class Use:
    def __init__(self, made: Library, folder: Path, reader: ReaderProcess) -> None:
        self.fetch, self.reader = Pages(made), reader
        self.objects, self.folders = Objects(folder), folder


def small(seed: int) -> Library:
    """Twelve pages, two of which say the same, so that the order decides which one is kept."""
    made = make_library(SITE, pages=12, pdfs=1, seed=seed)
    made.pages["/twin/a.html"] = made.pages["/news/0.html"]
    made.pages["/twin/b.html"] = made.pages["/blog/1.html"]
    write_listings(made, SITE)
    return made


async def state(database: Database) -> Any:
    """All that is left after a run: the words of each document, what each item is, and the counts."""
    newest = (
        sa.select(Document.key, DocumentVersion.fingerprint)
        .join(DocumentVersion, DocumentVersion.document_id == Document.id)
        .where(DocumentVersion.state == "extracted", Document.deleted_at.is_(None))
        .order_by(DocumentVersion.number)
    )
    keys = {"d": sa.select(Document.id, Document.key)}
    async with database.reading() as read:
        names = {row.id: row.key for row in await read.execute(keys["d"])}
        documents = {row.key: row.fingerprint for row in await read.execute(newest)}
        items = {
            row.url: (row.outcome, row.reason, names.get(row.document_id), names.get(row.twin_id))
            for row in await read.execute(sa.select(SourceItem.__table__))
        }
        counts = (
            await read.execute(sa.select(SourceRun.state, SourceRun.counts).order_by(SourceRun.id))
        ).all()
        jobs = sa.select(sa.func.count()).where(Job.kind == "content.index_document")
        embedded = (await read.execute(jobs)).scalar_one()
    return documents, items, [tuple(row) for row in counts], embedded


async def run_to_the_end(database: Mortal, bell: Bell, use: Any) -> None:
    """Run the waiting sync; when its process dies, the lease runs out and the next one takes over."""
    for _ in range(3):
        runner = Runner(database, bell, use)
        [claimed] = await claim(database, "pipeline", [sync_source.name], 1)
        try:
            assert await runner.run(claimed) == "succeeded"
            return
        except Killed:
            database.lives = float("inf")
            async with database.transaction() as db:
                back = {"state": "queued", "lease_until": None}
                await db.execute(sa.update(Job).where(Job.state == "running").values(**back))
        finally:
            await runner.close()
    raise AssertionError("it did not end")


async def wait_for_sync(database: Database, source_id: str) -> None:
    async with database.transaction() as db:
        await enqueue(db, None, sync_source, source_id=source_id)


@pytest.mark.parametrize("point", ["before", "in", "after"])
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_run_that_is_killed_anywhere_ends_as_one_that_was_not(
    request: pytest.FixtureRequest, bell: Bell, tmp_path: Path, backend: str, point: str
) -> None:
    """Killed before, in and after each of its transactions, at first and when pages were edited and removed."""
    reader = ReaderProcess()
    new = msgspec.convert(
        {
            "name": "s",
            "kind": "sitemap",
            "url": f"{SITE}/sitemap.xml",
            "publisher": "P",
            "licence": "L",
        },
        NewSource,
    )

    async def story(lives: float) -> tuple[Any, float]:
        database = Mortal(new_database(backend, request, tmp_path), bell.publish)
        database.point = point
        use = Use(small(seed=1), tmp_path / "objects", reader)
        async with database.transaction() as db:
            source, _ = await define.put(db, new, frozenset())
        used = 0.0
        for step in range(2):
            await wait_for_sync(database, source.id)
            database.lives = before = lives if lives != float("inf") else 10_000
            await run_to_the_end(database, bell, use)
            used = max(used, before - database.lives) if database.lives != float("inf") else used
            if step == 0:
                use.fetch.made = changed()
        database.lives = float("inf")
        end = await state(database)
        await database.dispose()
        return end, used

    undisturbed, transactions = await story(float("inf"))
    assert undisturbed[2][0] == ("succeeded", msgspec.to_builtins(Counts(new=13, rejected=2)))
    assert undisturbed[2][1] == (
        "succeeded", msgspec.to_builtins(Counts(new=1, changed=1, unchanged=9, rejected=1, removed=3)),
    )  # fmt: skip
    # Every moment with `just test-faults`; otherwise some, others for each point.
    first, step = (1, 1) if os.environ.get("FAULT_SEEDS") else (1 + len(point) % 5, 5)
    for lives in range(first, int(transactions) + 1, step):
        assert (await story(lives))[0] == undisturbed, f"killed {point} transaction {lives}"
    await reader.close()


def changed() -> Library:
    made = small(seed=1)
    for number in (4, 5):
        write_page(made, number, seed=2)
    for path in ("/news/0.html", "/lists/5.html", "/papers/0.pdf"):
        made.pages.pop(path, None)
    write_listings(made, SITE)
    return made


async def test_a_back_fill_that_was_broken_off_is_gone_on_with(
    request: pytest.FixtureRequest, bell: Bell, tmp_path: Path
) -> None:
    """A sync in between is a run of its own; the next back-fill takes the old one up, with what it has done."""
    database = Mortal(new_database("sqlite", request, tmp_path), bell.publish)
    reader = ReaderProcess()
    use = Use(small(seed=1), tmp_path / "objects", reader)
    new = {
        "name": "s",
        "kind": "sitemap",
        "url": f"{SITE}/sitemap.xml",
        "publisher": "P",
        "licence": "L",
    }
    async with database.transaction() as db:
        source, _ = await define.put(db, msgspec.convert(new, NewSource), frozenset())

    async def go(kind: Any, lives: float) -> str:
        async with database.transaction() as db:
            await enqueue(db, None, kind, source_id=source.id)
        [claimed] = await claim(database, "pipeline", [kind.name], 1)
        database.lives = lives
        runner = Runner(database, bell, use)
        try:
            return await runner.run(claimed)
        except Killed:
            database.lives = float("inf")
            async with database.transaction() as db:
                ended = {"state": "failed", "dead": True, "lease_until": None}
                await db.execute(sa.update(Job).where(Job.id == claimed.id).values(**ended))
            return "killed"
        finally:
            database.lives = float("inf")
            await runner.close()

    outcomes = [
        await go(*run) for run in ((backfill_source, 8), (sync_source, 1e9), (backfill_source, 1e9))
    ]
    assert outcomes == ["killed", "succeeded", "succeeded"]
    async with database.reading() as read:
        rows = (await read.execute(sa.select(SourceRun.__table__).order_by(SourceRun.id))).all()
    assert [(row.everything, row.state) for row in rows] == [
        (True, "succeeded"),
        (False, "succeeded"),
    ]
    await reader.close()
    await database.dispose()
