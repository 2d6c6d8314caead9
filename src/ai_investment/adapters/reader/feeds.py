"""Feeds and sitemaps, whatever their dialect and damage."""

from __future__ import annotations

import gzip
import io
import zlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import feedparser
from lxml import etree

from ai_investment.adapters.files.tree import blocks
from ai_investment.adapters.reader.dates import whole_date
from ai_investment.content.extraction import Unreadable, assemble, tidy
from ai_investment.content.reading import Entry, Feed, Sitemap

_MOST_ENTRIES = 1000
_MOST_PAGES = 50_000
_MOST_BYTES = 50 * 1024 * 1024


def read_feed(data: bytes, *, url: str, media_type: str | None) -> Feed:
    """The items of an RSS, RDF or Atom feed at `url`, at most 1,000. Raises Unreadable."""
    headers = {"content-location": url, "content-type": media_type or "application/xml"}
    try:
        parsed: Any = feedparser.parse(
            io.BytesIO(data), response_headers=headers, sanitize_html=False
        )
    except Exception as cause:
        # feedparser fails on damaged feeds with errors of any class.
        raise Unreadable("The feed is damaged.") from cause
    if not parsed.get("version") and not parsed.entries:
        raise Unreadable("There is no feed at this address.")
    now = datetime.now(UTC)
    entries = [_entry(entry, url, now) for entry in parsed.entries[:_MOST_ENTRIES]]
    links = {link.get("rel"): link.get("href") for link in parsed.feed.get("links", [])}
    older = links.get("prev-archive") or links.get("next")
    return Feed(
        title=_line(parsed.feed.get("title")),
        entries=[entry for entry in entries if entry.url or entry.text or entry.title],
        older=urljoin(url, older) if older else None,
    )


def _entry(entry: Any, base: str, now: datetime) -> Entry:
    link = (entry.get("link") or "").strip()
    address = urljoin(base, link) if link else None
    dates = (entry.get(name) for name in ("published", "updated", "created"))
    contents = [content.get("value") for content in entry.get("content", [])]
    longest = max([*contents, entry.get("summary"), ""], key=lambda text: len(text or ""))
    return Entry(
        url=address if address and address.startswith(("http://", "https://")) else None,
        id=_line(entry.get("id")),
        title=_line(_plain(entry.get("title"))) or "",
        text=_plain(longest),
        author=_line(entry.get("author")),
        published_at=next((found for text in dates if (found := whole_date(text, now=now))), None),
    )


def _plain(markup: str | None) -> str:
    """The text of a piece of HTML, all of it: a feed holds no navigation."""
    if not markup or not markup.strip():
        return ""
    if "<" not in markup and "&" not in markup:
        return tidy(markup).strip()
    parser = etree.HTMLParser(no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(f"<html><body>{markup}</body></html>", parser)
        return assemble(blocks(root))[0] if root is not None else ""
    except (etree.LxmlError, ValueError, Unreadable):
        return ""


def _line(text: object) -> str | None:
    return " ".join(tidy(text).split()) or None if isinstance(text, str) else None


def read_sitemap(data: bytes) -> Sitemap:
    """The pages or sitemaps that a sitemap names (plain, gzipped, or a text file). Raises Unreadable."""
    data = _gunzipped(data)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, recover=True, load_dtd=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError):
        root = None
    if root is None:
        lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
        pages = [line for line in lines if line.startswith(("http://", "https://"))]
        if not pages:
            raise Unreadable("There is no sitemap at this address.")
        return Sitemap(pages=pages[:_MOST_PAGES])
    found: dict[str, list[str]] = {"url": [], "sitemap": []}
    for element in root.iter():
        name = etree.QName(element).localname if isinstance(element.tag, str) else ""
        if name in found:
            places = [
                (child.text or "").strip()
                for child in element
                if isinstance(child.tag, str) and etree.QName(child).localname == "loc"
            ]
            found[name] += [place for place in places if place.startswith(("http://", "https://"))]
    if not found["url"] and not found["sitemap"]:
        raise Unreadable("There is no sitemap at this address.")
    return Sitemap(pages=found["url"][:_MOST_PAGES], sitemaps=found["sitemap"][:_MOST_PAGES])


def _gunzipped(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            plain = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as cause:
        raise Unreadable("The sitemap is compressed and damaged.") from cause
    if len(plain) > _MOST_BYTES:
        raise Unreadable("The sitemap is larger than 50 MB.")
    return plain
