"""One item of a source: fetched and read without a transaction, then settled in one."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import sqlalchemy as sa

from ai_investment.content.extraction import Extracted, Unreadable
from ai_investment.content.models import Document
from ai_investment.content.objects import Objects
from ai_investment.content.reading import Study
from ai_investment.content.sources import facts, listing
from ai_investment.content.sources.addresses import normal_url, same_site
from ai_investment.content.sources.admit import Arrival, admit
from ai_investment.content.sources.define import Options, withdraw
from ai_investment.content.sources.fetching import (
    Busy,
    CannotFetch,
    Fetched,
    Gone,
    Refused,
    Rules,
    TryLater,
)
from ai_investment.content.sources.judge import reason_against
from ai_investment.content.sources.listing import Listed
from ai_investment.content.sources.models import Source, SourceItem
from ai_investment.db import Db, db_now

_MOST_BYTES = 25 * 1024 * 1024
# Stands where a page's ETag does, for words that came from the feed.
_OWN_WORDS = "words:"
_RULES: dict[str, Rules] = {"sec_filings": "sec", "sec_facts": "sec"}


class Using(listing.Using, Protocol):
    """What the pipeline worker provides."""

    objects: Objects


class Known(msgspec.Struct, frozen=True):
    """What the run before knew of an item; all null for a new one."""

    etag: str | None = None
    last_modified: str | None = None
    document_id: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item before anything is written: words to admit, or why there are none.

    `same`: nothing has changed since it was settled last.
    """

    item: Listed
    outcome: Literal["words", "same", "gone", "rejected", "failed"]
    reason: str | None = None
    arrival: Arrival | None = None
    etag: str | None = None
    last_modified: str | None = None


async def look_at(use: Using, source: Source, item: Listed, known: Known) -> Found:
    """Fetch and read an item. Raises Busy when the host wants to be left alone, MissingContact."""
    options = msgspec.convert(source.options, Options)
    try:
        page = await _page(use, source, item, known)
    except Busy:
        raise
    except Gone as cause:
        return Found(item=item, outcome="gone", reason=cause.detail)
    except (CannotFetch, OSError) as cause:
        later = not isinstance(cause, Refused)
        reason = cause.detail if isinstance(cause, CannotFetch) else "The file cannot be read."
        return Found(item=item, outcome="failed" if later else "rejected", reason=reason)
    if page.not_modified:
        return Found(item=item, outcome="same")
    found = Found(item=item, outcome="rejected", etag=page.etag, last_modified=page.last_modified)
    try:
        extracted, study = await _read(use, source, item, page, options)
    except (Unreadable, Refused) as cause:
        reason = cause.reason if isinstance(cause, Unreadable) else cause.detail
        return msgspec.structs.replace(found, reason=reason)
    against = None
    if source.kind != "sec_facts":  # tables of our own making
        against = reason_against(
            extracted, study, languages=options.languages, trust=source.trust,
            is_news=source.kind == "news" or page.etag == _mark_of(item),
        )  # fmt: skip
    if against:
        return msgspec.structs.replace(found, reason=against)
    object_key = await use.objects.put(page.body)
    arrival = _arrival(source, item, page, object_key, extracted, study)
    return msgspec.structs.replace(found, outcome="words", arrival=arrival)


async def _page(use: Using, source: Source, item: Listed, known: Known) -> Fetched:
    """The bytes of an item: from the web, from its folder, or what its feed says."""
    if item.path is not None:
        data = await asyncio.to_thread(_read_file, item.path)
        mark = hashlib.sha256(data).hexdigest()
        media_type = listing.READABLE[item.path.suffix.lower()]
        return Fetched(item.url, data, media_type, etag=mark, not_modified=mark == known.etag)
    if source.kind == "news":
        return _own_words(item, known)
    rules = _RULES.get(source.kind, "polite")
    marks = {"etag": known.etag, "last_modified": known.last_modified}
    if known.etag == _mark_of(item) or (known.etag or "").startswith(_OWN_WORDS):
        marks = {}
    try:
        return await use.fetch(item.url, **marks, rules=rules)
    except (Refused, TryLater) as cause:
        # A page that never could be had: its feed's own words are better than nothing.
        fetched_before = known.document_id and not (known.etag or "").startswith(_OWN_WORDS)
        if isinstance(cause, Busy) or fetched_before or len((item.text or "").split()) < 5:
            raise
        return _own_words(item, known)


def _own_words(item: Listed, known: Known) -> Fetched:
    mark = _mark_of(item)
    body = _words_of(item).encode()
    same = mark == known.etag
    return Fetched(item.url, body, "text/plain; charset=utf-8", etag=mark, not_modified=same)


def _words_of(item: Listed) -> str:
    """The text of a feed's item, under its title unless it begins with it."""
    title, text = item.title or "", item.text or ""
    return text if text.startswith(title) else f"{title}\n\n{text}"


def _mark_of(item: Listed) -> str:
    return _OWN_WORDS + hashlib.sha256(_words_of(item).encode()).hexdigest()


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > _MOST_BYTES:
        raise Refused("The file is larger than 25 MB.")
    return path.read_bytes()


async def _read(
    use: Using, source: Source, item: Listed, page: Fetched, options: Options
) -> tuple[Extracted, Study]:
    data, media_type, name = page.body, page.media_type or "", item.url
    if source.kind == "sec_facts":
        company = listing.json_of(page, facts.CompanyFacts)
        data = facts.as_markdown(company, options.concepts).encode()
        media_type, name = "text/markdown", "facts.md"
    extracted = await use.reader.extract(data, media_type=media_type, name=name)
    return extracted, await use.reader.study(extracted.text)


def _arrival(
    source: Source, item: Listed, page: Fetched, object_key: str, found: Extracted, study: Study
) -> Arrival:
    """What the feed or the index says of an item fills in what its page leaves open."""
    if item.path is not None:
        key, url = f"folder:{source.url}/{item.url}", None
    else:
        url = normal_url(page.url)
        # A page may speak for another address of its own site, and for no other.
        if found.url and source.kind not in ("news", "sec_facts") and same_site(found.url, url):
            url = normal_url(found.url)
        key = (
            f"url:{url}" if item.key == listing.key_of(normal_url(item.url)) else f"item:{item.key}"
        )
    filing = source.kind == "sec_filings"
    extracted = msgspec.structs.replace(
        found,
        title=item.title if filing else found.title or item.title,
        author=found.author or item.author,
        published_at=item.published_at
        if filing
        else _past(found.published_at) or item.published_at,
    )
    return Arrival(
        key=key[:500],
        name=item.url,
        media_type=page.media_type,
        object_key=object_key,
        url=found.url if item.path is not None else url,
        title=extracted.title or _title_of(item.url),
        extracted=extracted,
        study=study,
    )


def _past(moment: datetime | None) -> datetime | None:
    """None for a day that has not come: a clock or a page is wrong."""
    return moment if moment and moment < datetime.now(UTC) + timedelta(days=1) else None


def _title_of(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2] or url


async def settle_item(db: Db, source: Source, run_id: str, found: Found) -> None:
    """Write what was found of an item, and what follows from it for its document."""
    row = await db.get(SourceItem, (source.id, found.item.key))
    if row is None:
        row = SourceItem(source_id=source.id, key=found.item.key, url=found.item.url)
    outcome, reason = await _outcome(db, source, row, found)
    if found.outcome in ("words", "rejected"):
        row.etag, row.last_modified = found.etag, found.last_modified
    row.outcome, row.reason, row.run_id = outcome, (reason or "")[:300] or None, run_id
    row.published_at = found.item.published_at or row.published_at
    row.checked_at = db_now()
    # Only now: a row that is not whole would be flushed by the queries above.
    db.add(row)


async def _outcome(db: Db, source: Source, row: SourceItem, found: Found) -> tuple[str, str | None]:
    match found.outcome:
        case "words":
            return await _admitted(db, source, row, found)
        case "gone":
            outcome = "removed" if row.document_id else "rejected"
            await _lose(db, row)
            row.etag = row.last_modified = None
            return outcome, found.reason
        case "same" if row.outcome == "rejected":
            # It counts as what it still is.
            return "rejected", row.reason
        case "same":
            return "unchanged", None
        case _:
            return found.outcome, found.reason


async def _admitted(
    db: Db, source: Source, row: SourceItem, found: Found
) -> tuple[str, str | None]:
    arrival = found.arrival
    assert arrival is not None
    own = f"url:{normal_url(found.item.url)}"
    row.twin_id = await _owner(db, row, arrival.key) if arrival.key != own else None
    if row.twin_id:
        await _lose(db, row)
        return "rejected", "another address of a page that is there"
    admitted = await admit(db, source, arrival)
    row.twin_id = admitted.twin_id
    if row.document_id != admitted.document_id:
        await _lose(db, row)
    row.document_id = admitted.document_id
    if admitted.outcome == "twin":
        return "rejected", "the same words as another document"
    return admitted.outcome, None


async def _lose(db: Db, row: SourceItem) -> None:
    """The item has no document any more."""
    await withdraw(db, row.document_id, unless=row)
    row.document_id = None


async def _owner(db: Db, row: SourceItem, key: str) -> str | None:
    """The document of this key if another item has it."""
    return await db.scalar(
        sa.select(Document.id)
        .join(SourceItem, SourceItem.document_id == Document.id)
        .where(Document.key == key, Document.deleted_at.is_(None), SourceItem.key != row.key)
        .limit(1)
    )
