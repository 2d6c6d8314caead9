"""What a reader makes of files and feeds, whichever process it runs in."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from ai_investment.content.extraction import Extracted


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a feed. `url` is absolute; `published_at` is null unless the feed says a whole date."""

    url: str | None
    id: str | None
    title: str
    text: str
    author: str | None = None
    published_at: datetime | None = None


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A feed in its own order; `older` is the page with older items (RFC 5005), if it names one."""

    title: str | None
    entries: list[Entry]
    older: str | None = None


class Sitemap(msgspec.Struct, frozen=True, kw_only=True):
    """A sitemap of pages, or an index of sitemaps."""

    pages: list[str] = []
    sitemaps: list[str] = []


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What a text is like, found by counting: `language` (ISO 639) is null when unsure, `topic` when none
    stands out, `grade` is a US school grade; `bands` are the hashes that texts with nearly the same words
    have in common."""

    language: str | None
    bands: list[str]
    topic: str | None
    level: str
    grade: float
    key_terms: list[str]


class Reader(Protocol):
    """Reads hostile data. All methods raise Unreadable, and nothing else, for data of whatever kind."""

    async def extract(self, data: bytes, *, media_type: str, name: str) -> Extracted: ...
    async def feed(self, data: bytes, *, url: str, media_type: str | None) -> Feed: ...
    async def sitemap(self, data: bytes) -> Sitemap: ...
    async def study(self, text: str) -> Study: ...
