"""What a source has at the moment: its items, by kind."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from ai_investment.content.extraction import Unreadable
from ai_investment.content.reading import Entry, Feed, Reader
from ai_investment.content.sources.addresses import normal_url, same_site
from ai_investment.content.sources.define import Options
from ai_investment.content.sources.fetching import Fetched, Fetcher, Refused
from ai_investment.content.sources.models import Source

_MOST_SITEMAPS = 200
_MOST_ITEMS = 50_000
_MOST_ARCHIVES = 200
READABLE = {".md": "text/markdown", ".markdown": "text/markdown", ".html": "text/html",
            ".htm": "text/html", ".pdf": "application/pdf", ".txt": "text/plain"}  # fmt: skip


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An item as its source lists it. `text` is what the feed itself says; `path` is a file's."""

    key: str
    url: str
    title: str | None = None
    text: str | None = None
    author: str | None = None
    published_at: datetime | None = None
    path: Path | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """`complete`: what is not in it is no longer there. `not_modified`: as the last finished run saw it."""

    items: list[Listed] = []
    complete: bool = False
    not_modified: bool = False
    etag: str | None = None
    last_modified: str | None = None


class Using(Protocol):
    """What the pipeline worker provides."""

    fetch: Fetcher
    reader: Reader
    folders: Path


def key_of(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


async def list_items(use: Using, source: Source, *, everything: bool) -> Listing:
    """The items of a source. Raises CannotFetch or MissingContact when there is no telling."""
    options = msgspec.convert(source.options, Options)
    try:
        match source.kind:
            case "rss" | "news":
                return await _feed(use, source, options, everything=everything)
            case "sitemap":
                return await _sitemap(use, source, options)
            case "page":
                urls = [source.url, *options.urls]
                return Listing(items=_distinct([_page(url) for url in urls]), complete=True)
            case "sec_filings":
                from ai_investment.content.sources.filings import list_filings

                return await list_filings(use, source, options, everything=everything)
            case "sec_facts":
                return Listing(items=[_page(source.url)], complete=True)
            case "folder":
                return _folder(use.folders, source.url)
    except Unreadable as cause:
        raise Refused(cause.reason) from cause
    raise Refused(f"Sources of kind {source.kind} cannot run in this release.")


def _page(url: str) -> Listed:
    return Listed(key=key_of(normal_url(url)), url=url)


def _distinct(items: list[Listed]) -> list[Listed]:
    """One item per key; of several the latest published, in the place of the first."""
    found: dict[str, Listed] = {}
    oldest = datetime.min.replace(tzinfo=UTC)
    for item in items:
        known = found.get(item.key)
        if known is None or (item.published_at or oldest) > (known.published_at or oldest):
            found[item.key] = item
    return list(found.values())


def _wanted(url: str, options: Options) -> bool:
    path = urlsplit(url).path
    included = not options.include or path.startswith(tuple(options.include))
    return included and not path.startswith(tuple(options.exclude) or ("\0",))


async def _feed(use: Using, source: Source, options: Options, *, everything: bool) -> Listing:
    known = (None, None) if everything else (source.listing_etag, source.listing_modified)
    page = await use.fetch(source.url, etag=known[0], last_modified=known[1])
    if page.not_modified:
        return Listing(not_modified=True)
    feed = await _read_feed(use, page)
    entries = list(feed.entries)
    seen = {normal_url(page.url)}
    while everything and feed.older and len(seen) < _MOST_ARCHIVES and len(entries) < _MOST_ITEMS:
        if not same_site(feed.older, source.url) or normal_url(feed.older) in seen:
            break
        seen.add(normal_url(feed.older))
        feed = await _read_feed(use, await use.fetch(feed.older))
        entries += feed.entries
    items = [_entry(entry, source) for entry in entries]
    wanted = [item for item in items if _wanted(item.url, options)]
    if source.kind == "news":
        oldest = oldest_news(options)
        wanted = [item for item in wanted if not item.published_at or item.published_at >= oldest]
    return Listing(items=_distinct(wanted), etag=page.etag, last_modified=page.last_modified)


def oldest_news(options: Options) -> datetime:
    """News from before this moment are no news any more."""
    return datetime.now(UTC) - timedelta(days=options.keep_days)


async def _read_feed(use: Using, page: Fetched) -> Feed:
    return await use.reader.feed(page.body, url=page.url, media_type=page.media_type)


def _entry(entry: Entry, source: Source) -> Listed:
    """The same link is the same item, whatever else about it was edited."""
    name = entry.url and normal_url(entry.url)
    return Listed(
        key=key_of(name or f"{source.id}\n{entry.id or entry.title}"),
        url=entry.url or source.url,
        title=entry.title or None,
        text=entry.text or entry.title,
        author=entry.author,
        published_at=entry.published_at,
    )


async def _sitemap(use: Using, source: Source, options: Options) -> Listing:
    """All pages of a sitemap and the sitemaps it names. A part that fails is no listing at all."""
    waiting, seen, pages = [source.url], {source.url}, []
    while waiting:
        url = waiting.pop(0)
        found = await use.reader.sitemap((await use.fetch(url)).body)
        pages += [page for page in found.pages if same_site(page, source.url)]
        for child in found.sitemaps:
            if child not in seen and same_site(child, source.url) and len(seen) < _MOST_SITEMAPS:
                seen.add(child)
                waiting.append(child)
        if len(pages) > _MOST_ITEMS:
            raise Refused(f"The sitemap names more than {_MOST_ITEMS:,} pages: use `include`.")
    items = _distinct([_page(page) for page in pages if _wanted(page, options)])
    if not items:
        # A broken sitemap must not empty the library.
        raise Refused("The sitemap names no page that is wanted.")
    return Listing(items=items, complete=True)


def _folder(folders: Path, name: str) -> Listing:
    root = folders.resolve()
    folder = (root / name).resolve()
    if not folder.is_relative_to(root) or not folder.is_dir():
        raise Refused(f"There is no folder {name!r} in the data directory's `folders`.")
    items = []
    for path in sorted(folder.rglob("*")):
        inside = path.resolve().is_relative_to(folder)  # a link that leads out is not followed
        if inside and path.is_file() and path.suffix.lower() in READABLE:
            place = path.relative_to(folder).as_posix()
            items.append(Listed(key=key_of(f"{name}\n{place}"), url=place, path=path))
    if not items:
        raise Refused(f"The folder {name!r} holds no file that can be read.")
    return Listing(items=items[:_MOST_ITEMS], complete=True)


def json_of(page: Fetched, kind: Any) -> Any:
    """A JSON document of the given form. Raises Refused."""
    try:
        return msgspec.json.decode(page.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise Refused(
            "The address does not hold the JSON that this kind of source needs."
        ) from cause
