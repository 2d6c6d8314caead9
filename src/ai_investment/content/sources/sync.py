"""A run: look at what a source has, take in what is new or changed, withdraw what is gone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ai_investment.content.models import Document
from ai_investment.content.sources import define
from ai_investment.content.sources.define import Options, UnknownSource, withdraw
from ai_investment.content.sources.fetching import Busy, CannotFetch, MissingContact
from ai_investment.content.sources.intake import Found, Known, Using, look_at, settle_item
from ai_investment.content.sources.listing import Listed, Listing, list_items, oldest_news
from ai_investment.content.sources.models import Source, SourceItem, SourceRun
from ai_investment.db import Db, db_now
from ai_investment.errors import Problem
from ai_investment.ids import new_id
from ai_investment.jobs.declare import job
from ai_investment.jobs.errors import Later
from ai_investment.jobs.models import IS_LIVE, Job
from ai_investment.jobs.run import Run

# Items that are fetched and read ahead of the one being settled.
_AHEAD = 4
# Pages that left a feed are looked at again from time to time, a few in each run.
_RECHECKED = 20


class SourceFailed(Problem):
    """The run could not tell what the source has; the detail says why."""

    status, title = 502, "The source failed"


class Counts(msgspec.Struct):
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    failed: int = 0
    removed: int = 0


class Synced(msgspec.Struct, frozen=True):
    """The result of the job."""

    run_id: str
    counts: Counts


@job("sources.sync", queue="pipeline", attempts=8, lease=30, priority=6, unique="source_id")
async def sync_source(run: Run[Using], source_id: str) -> None:
    """Bring the library to what a source has now; being broken off and run again changes nothing."""
    await _sync(run, source_id, everything=False)


@job("sources.backfill", queue="pipeline", attempts=8, lease=30, priority=8, unique="source_id")
async def backfill_source(run: Run[Using], source_id: str) -> None:
    """As a sync, for all that the source ever had; one that was broken off is gone on with."""
    await _sync(run, source_id, everything=True)


async def _sync(run: Run[Using], source_id: str, *, everything: bool) -> None:
    """Items are settled one by one, in a fixed order, each in a transaction of its own: which of two pages
    with the same words is kept does not depend on when a run was broken off."""
    source, source_run = await _open(run, source_id, everything=everything)
    try:
        await run.progress("listing")
        listing = await list_items(run.use, source, everything=everything)
        await _take_in(run, source, source_run, listing, everything=everything)
    except Busy as cause:
        raise Later(cause.seconds) from cause
    except (CannotFetch, MissingContact) as cause:
        problem = cause if isinstance(cause, MissingContact) else SourceFailed(cause.detail)
        async with run.fail(problem) as db:
            await _close(db, source_id, source_run.id, error=cause.detail)
        return
    async with run.settle() as db:
        counts = await _close(db, source_id, source_run.id, listing=listing)
        run.result = Synced(source_run.id, counts)


async def _open(run: Run[Using], source_id: str, *, everything: bool) -> tuple[Source, SourceRun]:
    """The source, and the run to work on: the one of a job before that was broken off, or a new one.

    Two runs of one source would undo each other's work: the later one waits.
    """
    async with run.step("opening", 0) as db:
        source = await db.scalar(sa.select(Source).where(Source.id == source_id).with_for_update())
        if source is None:
            raise UnknownSource(f"There is no source {source_id[:60]!r}.")
        unfinished = sa.select(SourceRun).where(
            SourceRun.source_id == source_id, SourceRun.state == "running"
        )
        for other in (await db.scalars(unfinished.order_by(SourceRun.id))).all():
            live = sa.select(Job.id).where(Job.id == other.job_id, IS_LIVE)
            if other.job_id != run.job.id and await db.scalar(live):
                raise Later(10)
            if other.everything == everything:
                other.job_id = run.job.id
                return source, other
        source_run = SourceRun(
            id=new_id("run"), source_id=source_id, job_id=run.job.id, everything=everything,
            state="running", started_at=db_now(),
        )  # fmt: skip
        db.add(source_run)
        await db.flush()
        return source, source_run


async def _take_in(
    run: Run[Using], source: Source, source_run: SourceRun, listing: Listing, *, everything: bool
) -> None:
    known = await _known(run, source.id)
    options = msgspec.convert(source.options, Options)
    if gone := _no_longer_there(source, options, listing, known):
        # First: a page that said the same as a removed one may now take its place.
        await _remove(run, source, source_run.id, gone)
        known = await _known(run, source.id)
    listed = listing.items
    if not listing.complete:
        keys = {item.key for item in listed}
        listed = listed + _left_the_list(source, known, keys, None if everything else _RECHECKED)
    todo = _in_order(listed, known, source_run.id, None if everything else options.most)
    done = 0
    async with aclosing(_ahead(run.use, source, todo, known)) as found_in_order:
        async for found in found_in_order:
            done += 1
            async with run.step("items", done, len(todo)) as db:
                await settle_item(db, source, source_run.id, found)


def _no_longer_there(
    source: Source, options: Options, listing: Listing, known: dict[str, _Row]
) -> list[_Row]:
    """Items whose documents go: those a complete listing has not, and news that are no news any more."""
    rows = [row for row in known.values() if row.document_id]
    if listing.complete:
        listed = {item.key for item in listing.items}
        return [row for row in rows if row.key not in listed]
    if source.kind == "news":
        oldest = oldest_news(options)
        return [row for row in rows if row.published_at and row.published_at < oldest]
    return []


class _Row(msgspec.Struct, frozen=True):
    key: str
    url: str
    document_id: str | None
    etag: str | None
    last_modified: str | None
    outcome: str
    run_id: str
    checked_at: datetime
    published_at: datetime | None
    twin_lives: bool


async def _known(run: Run[Using], source_id: str) -> dict[str, _Row]:
    """What is known of the source's items."""
    columns = [getattr(SourceItem, name) for name in _Row.__struct_fields__[:-1]]
    query = (
        sa.select(
            *columns,
            sa.or_(
                SourceItem.twin_id.is_(None),
                sa.and_(Document.id.is_not(None), Document.deleted_at.is_(None)),
            ),
        )
        .outerjoin(Document, Document.id == SourceItem.twin_id)
        .where(SourceItem.source_id == source_id)
    )
    async with run.database.reading() as read:
        rows = (await read.execute(query)).all()
    return {row.key: _Row(**dict(zip(_Row.__struct_fields__, row, strict=True))) for row in rows}


def _left_the_list(
    source: Source, known: dict[str, _Row], listed: set[str], most: int | None
) -> list[Listed]:
    """Pages with a document that are not in the feed any more, those looked at longest ago first."""
    if source.kind != "rss":
        return []
    gone = [row for row in known.values() if row.document_id and row.key not in listed]
    gone.sort(key=lambda row: (row.checked_at, row.key))
    return [Listed(key=row.key, url=row.url) for row in gone[:most]]


def _in_order(
    listed: Sequence[Listed], known: dict[str, _Row], run_id: str, most: int | None
) -> list[Listed]:
    """What this run has not settled yet: new items as they are listed, then those looked at longest ago."""
    new = [item for item in listed if item.key not in known]
    old = [item for item in listed if item.key in known]
    old.sort(key=lambda item: (known[item.key].checked_at, item.key))
    settled = sum(known[item.key].run_id == run_id for item in old)
    waiting = [*new, *(item for item in old if known[item.key].run_id != run_id)]
    return waiting if most is None else waiting[: max(0, most - settled)]


async def _ahead(
    use: Using, source: Source, todo: Sequence[Listed], known: dict[str, _Row]
) -> AsyncGenerator[Found]:
    """What is found of each item, in their order, while the next few are looked at already."""
    waiting = deque(todo)
    under_way: deque[asyncio.Task[Found]] = deque()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < _AHEAD:
                item = waiting.popleft()
                look = look_at(use, source, item, _marks(known.get(item.key)))
                under_way.append(asyncio.create_task(look))
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _marks(row: _Row | None) -> Known:
    """What to ask for changes against; nothing for a page whose twin was removed meanwhile."""
    if row is None or not row.twin_lives or row.outcome in ("failed", "removed"):
        return Known(document_id=row.document_id if row else None)
    return Known(row.etag, row.last_modified, row.document_id)


async def _remove(run: Run[Using], source: Source, run_id: str, rows: Sequence[_Row]) -> None:
    for number, gone in enumerate(rows, start=1):
        async with run.step("removing", number, len(rows)) as db:
            row = await db.get(SourceItem, (source.id, gone.key))
            if row is None:
                continue
            await withdraw(db, row.document_id, unless=row)
            row.document_id = row.etag = row.last_modified = None
            row.outcome, row.reason, row.run_id, row.checked_at = "removed", None, run_id, db_now()


async def _close(
    db: Db, source_id: str, run_id: str, *, listing: Listing | None = None, error: str | None = None
) -> Counts:
    """End a run: its counts, and when the source is looked at next."""
    tally = sa.select(SourceItem.outcome, SourceItem.reason, sa.func.count()).where(
        SourceItem.run_id == run_id
    )
    counts, reasons = Counts(), dict[str, int]()
    for outcome, reason, number in await db.execute(
        tally.group_by(SourceItem.outcome, SourceItem.reason)
    ):
        setattr(counts, outcome, getattr(counts, outcome) + number)
        if reason and outcome in ("rejected", "failed"):
            reasons[reason] = number
    source_run = await db.get(SourceRun, run_id)
    source = await db.scalar(sa.select(Source).where(Source.id == source_id).with_for_update())
    if source_run is None or source is None:  # removed meanwhile
        return counts
    nothing_worked = counts.failed > 0 and not (counts.new + counts.changed + counts.unchanged)
    if error is None and nothing_worked:
        error = f"None of {counts.failed} items could be fetched."
    source_run.state = "failed" if error else "succeeded"
    source_run.error, source_run.finished_at = error, db_now()
    source_run.counts, source_run.reasons = msgspec.to_builtins(counts), dict(reasons)
    if listing is not None and not listing.not_modified and not counts.failed:
        source.listing_etag, source.listing_modified = listing.etag, listing.last_modified
    define.plan_next(source, failed=error is not None, why=error)
    return counts
