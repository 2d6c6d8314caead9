"""What a source is: kinds, options, schedule, and the ways to add, change and remove one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from cronsim import CronSim, CronSimError

from ai_investment.content.documents import delete
from ai_investment.content.models import Document
from ai_investment.content.sources.addresses import check_url
from ai_investment.content.sources.fetching import Refused
from ai_investment.content.sources.models import Source, SourceItem
from ai_investment.db import Db, db_now
from ai_investment.errors import Fault, Malformed, NotFound
from ai_investment.ids import new_id

Kind = Literal["rss", "news", "sitemap", "page", "sec_filings", "sec_facts", "folder", "prices"]
# The shortest time between two runs: sites are not asked more often than this.
_SHORTEST = timedelta(minutes=5)
_BACK_OFF, _LONGEST_BACK_OFF = timedelta(minutes=5), timedelta(days=1)
PAUSE_AFTER = 6


class UnknownSource(NotFound):
    title = "Unknown source"


class Options(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What only some kinds need.

    `include`, `exclude`: beginnings of paths, for `sitemap` and `rss`. `urls`: more pages, for `page`.
    `forms`: for `sec_filings`. `concepts`: for `sec_facts`. `archives`: where filings lie, when not with
    the SEC. `keep_days`: after how many days `news` are withdrawn. `most`: items looked at in one run.
    """

    include: list[str] = []
    exclude: list[str] = []
    urls: Annotated[list[str], msgspec.Meta(max_length=500)] = []
    forms: list[str] = msgspec.field(default_factory=lambda: ["10-K", "10-Q", "8-K", "20-F"])
    concepts: list[str] = []
    archives: str | None = None
    languages: list[str] = msgspec.field(default_factory=lambda: ["en"])
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    most: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 500


class NewSource(msgspec.Struct, forbid_unknown_fields=True):
    """A source to add. Sending the same `name` again changes it.

    `url` is, by kind: a feed (rss: its linked pages; news: its own words), a sitemap, a page, the SEC's
    submissions or companyfacts JSON of a company, or the name of a folder below the data directory's
    `folders`.
    """

    name: Annotated[
        str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9-]*$")
    ]
    kind: Kind
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    publisher: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    licence: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    schedule: Annotated[str, msgspec.Meta(max_length=100)] = "17 5 * * *"
    trust: Literal["official", "established", "open"] = "open"
    audience: Literal["everyone", "teen", "adult"] = "everyone"
    options: Options = msgspec.field(default_factory=Options)


def next_fire(schedule: str, after: datetime) -> datetime:
    """The first time of the schedule after `after`, both in UTC."""
    return next(CronSim(schedule, after))


def plan_next(source: Source, *, failed: bool, why: str | None) -> None:
    """The next run: on schedule, or later and later while the source fails; then it is paused."""
    now = datetime.now(UTC)
    regular = next_fire(source.schedule, now)
    source.failures = source.failures + 1 if failed else 0
    wait = min(_BACK_OFF * 2 ** min(source.failures - 1, 20), _LONGEST_BACK_OFF) if failed else None
    source.next_run_at = max(regular, now + wait) if wait else regular
    if source.failures >= PAUSE_AFTER and source.state == "active":
        source.state = "paused"
        source.paused_because = f"{source.failures} runs failed in a row; the last one: {why}"


async def put(db: Db, new: NewSource, private_hosts: frozenset[str]) -> tuple[Source, bool]:
    """Add a source, or change the one of this name; True when it is new. Raises Malformed."""
    _check(new, private_hosts)
    now = await _now(db)
    found = sa.select(Source).where(Source.name == new.name).with_for_update()
    source = await db.scalar(found)
    created = source is None
    if source is None:
        source = Source(id=new_id("src"), state="active", failures=0, created_at=now)
    for field, value in msgspec.structs.asdict(new).items():
        setattr(source, field, msgspec.to_builtins(value))
    source.next_run_at = source.updated_at = now
    # What was rejected or skipped under the old definition is looked at again.
    source.listing_etag = source.listing_modified = None
    items = sa.update(SourceItem).where(SourceItem.source_id == source.id)
    await db.execute(items.values(etag=None, last_modified=None))
    db.add(source)
    await db.flush()
    return source, created


async def set_state(db: Db, source_id: str, state: Literal["active", "paused"]) -> Source:
    """Pause a source, or let it run again from now on. Raises UnknownSource."""
    source = await locked(db, source_id)
    source.state = state
    source.paused_because = "paused by an operator" if state == "paused" else None
    source.failures = 0
    source.updated_at = await _now(db)
    if state == "active":
        source.next_run_at = source.updated_at
    return source


async def remove(db: Db, source_id: str) -> None:
    """Remove a source and withdraw the documents that it brought. Raises UnknownSource."""
    source = await locked(db, source_id)
    brought = await db.scalars(
        sa.select(Document.id).where(Document.source_id == source.id, Document.deleted_at.is_(None))
    )
    await db.delete(source)
    await db.flush()
    for document_id in brought.all():
        await delete(db, document_id)


async def locked(db: Db, source_id: str) -> Source:
    source = await db.scalar(sa.select(Source).where(Source.id == source_id).with_for_update())
    if source is None:
        raise UnknownSource(f"There is no source {source_id[:60]!r}.")
    return source


async def withdraw(db: Db, document_id: str | None, *, unless: SourceItem) -> None:
    """Withdraw a document that the item `unless` has lost, if no item of any source still has it."""
    others = sa.select(SourceItem.key).where(
        SourceItem.document_id == document_id,
        sa.or_(SourceItem.source_id != unless.source_id, SourceItem.key != unless.key),
    )
    if document_id is None or await db.scalar(others.limit(1)) is not None:
        return
    live = sa.select(Document.id).where(Document.id == document_id, Document.deleted_at.is_(None))
    if await db.scalar(live) is not None:
        await delete(db, document_id)


async def _now(db: Db) -> datetime:
    now: Any = await db.scalar(sa.select(db_now()))
    return now.astimezone(UTC) if now.tzinfo else now.replace(tzinfo=UTC)  # type: ignore[no-any-return]


def _check(new: NewSource, private_hosts: frozenset[str]) -> None:
    faults: list[Fault] = []
    if new.kind == "prices":
        text = "prices are not fetched by this release; add quotes when the market feature is there"
        faults.append(Fault("#/kind", text))
    if new.kind == "folder":
        if not _is_folder_name(new.url):
            faults.append(Fault("#/url", "the name of a folder, without .. or a leading /"))
    else:
        addresses = [("#/url", new.url)]
        addresses += [(f"#/options/urls/{n}", url) for n, url in enumerate(new.options.urls)]
        if new.options.archives:
            addresses.append(("#/options/archives", new.options.archives))
        faults += _unfetchable(addresses, private_hosts)
    if fault := _schedule_fault(new.schedule):
        faults.append(Fault("#/schedule", fault))
    if faults:
        raise Malformed("; ".join(f"{f.pointer}: {f.detail}" for f in faults), errors=faults)


def _unfetchable(urls: Sequence[tuple[str, str]], private_hosts: frozenset[str]) -> list[Fault]:
    faults = []
    for pointer, url in urls:
        try:
            check_url(url, private_hosts)
        except Refused as cause:
            faults.append(Fault(pointer, cause.detail))
    return faults


def _is_folder_name(name: str) -> bool:
    return not name.startswith("/") and not any(part in ("..", "") for part in name.split("/"))


def _schedule_fault(schedule: str) -> str | None:
    if len(schedule.split()) != 5:
        return "five cron fields, such as `17 5 * * *`"
    try:
        times = CronSim(schedule, datetime(2026, 1, 1, tzinfo=UTC))
        first = [next(times) for _ in range(60)]
    except (CronSimError, StopIteration):
        return "not a cron expression that ever fires"
    if any(later - earlier < _SHORTEST for earlier, later in pairwise(first)):
        return "more often than every five minutes"
    return None
