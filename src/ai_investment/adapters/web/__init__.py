"""Fetching pages from the web: public addresses, polite, bounded in size and time."""

from __future__ import annotations

import asyncio
import time
import zlib
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
from redis.asyncio import Redis

from ai_investment.adapters.web.guard import guarded_client
from ai_investment.adapters.web.pace import OWN, POLITE, SEC, Pace, Tempo
from ai_investment.adapters.web.robots import Robots
from ai_investment.content.sources.addresses import check_url
from ai_investment.content.sources.fetching import (
    Busy,
    Fetched,
    Gone,
    MissingContact,
    Refused,
    Rules,
    TryLater,
    retry_after,
)
from ai_investment.version import VERSION

MAX_BYTES = 25 * 1024 * 1024
_MOST_REDIRECTS = 5
_TIMEOUT = httpx.Timeout(15.0, connect=10.0)
_NEVER_READ = ("image/", "video/", "audio/", "font/")
_CHUNK = 65_536


class Limits(msgspec.Struct, frozen=True):
    """`seconds` for a whole request, however slowly its bytes drip in; `size` after decompression."""

    seconds: float = 60.0
    size: int = MAX_BYTES


class WebFetcher:
    """A `Fetcher`. `contact` is named in every request; sites under the SEC's rules need an e-mail address."""

    def __init__(
        self,
        redis: Redis,
        *,
        contact: str = "",
        private_hosts: frozenset[str] = frozenset(),
        limits: Limits | None = None,
    ) -> None:
        about = f" (+{contact})" if contact else ""
        self._contact = contact
        self._private_hosts = private_hosts
        self._limits = limits or Limits()
        self._pace = Pace(redis)
        self._robots = Robots(f"AIInvestmentBackend/{VERSION}")
        self._client = guarded_client(
            private_hosts,
            timeout=_TIMEOUT,
            headers={
                "User-Agent": f"AIInvestmentBackend/{VERSION}{about}",
                "Accept-Encoding": "gzip, deflate",
                "Accept": "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
            },
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def __call__(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        rules: Rules = "polite",
    ) -> Fetched:
        headers = {}
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        for _ in range(_MOST_REDIRECTS + 1):
            check_url(url, self._private_hosts)
            sec = rules == "sec" or _of_the_sec(url)
            if sec and "@" not in self._contact:
                raise MissingContact(
                    "The SEC wants programs to name an e-mail address: set FETCH_CONTACT."
                )
            tempo = SEC if sec else self._tempo(url)
            await self._ask_robots(url, tempo)
            found = await self._request(url, headers, tempo)
            if isinstance(found, Fetched):
                return found
            url = urljoin(url, found)
        raise Refused(f"The URL redirects more than {_MOST_REDIRECTS} times.")

    def _tempo(self, url: str) -> Tempo:
        parts = urlsplit(url)
        return OWN if f"{parts.hostname}:{parts.port}" in self._private_hosts else POLITE

    async def _ask_robots(self, url: str, tempo: Tempo) -> None:
        """Raise Refused where the site's robots.txt keeps programs out; it is read once an hour."""
        site = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        if not self._robots.knows(site):
            address, limits = f"{site}/robots.txt", Limits(min(20, self._limits.seconds), 512_000)
            try:
                for _ in range(_MOST_REDIRECTS + 1):
                    check_url(address, self._private_hosts)
                    found = await self._request(address, {}, tempo, limits)
                    if isinstance(found, Fetched):
                        self._robots.learn(site, found.body)
                        break
                    address = urljoin(address, found)
            except (Gone, Refused):
                # RFC 9309: a robots.txt that cannot be had for good forbids nothing.
                self._robots.learn(site, b"")
        if not self._robots.allow(site, url):
            raise Refused("The site's robots.txt asks programs not to fetch this page.")

    async def _request(
        self, url: str, headers: dict[str, str], tempo: Tempo, limits: Limits | None = None
    ) -> Fetched | str:
        """One request in its turn: the page, or the address that it redirects to."""
        limits = limits or self._limits
        host = urlsplit(url).netloc.lower()
        try:
            async with (
                self._pace.turn(host, tempo),
                asyncio.timeout(limits.seconds),
                self._client.stream("GET", url, headers=headers) as response,
            ):
                if response.has_redirect_location:
                    return response.headers["location"]
                if response.status_code == 304:
                    return Fetched(url, b"", not_modified=True)
                await self._check(response, host, tempo)
                body = await _read(response, limits.size)
        except TimeoutError as cause:
            raise TryLater(f"The site did not finish within {limits.seconds:.0f} s.") from cause
        except httpx.TimeoutException as cause:
            raise TryLater("The site does not answer in time.") from cause
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as cause:
            raise Refused("The URL is not well formed.") from cause
        except httpx.TransportError as cause:
            raise TryLater(f"The site cannot be reached ({type(cause).__name__}).") from cause
        return _page(url, response.headers, body)

    async def _check(self, response: httpx.Response, host: str, tempo: Tempo) -> None:
        """Raise unless the response is a page that is worth reading."""
        status = response.status_code
        busy = status in (429, 503) or (status == 403 and tempo is SEC)
        if busy:
            wanted = retry_after(response.headers.get("retry-after"), now=datetime.now(UTC))
            seconds = await self._pace.hold(host, wanted or 0)
            raise Busy(f"The site answered {status}: it wants fewer requests.", seconds)
        if status in (404, 410):
            raise Gone(f"There is no such page ({status}).")
        if status >= 500 or status == 408:
            raise TryLater(f"The site answered {status}.")
        if status != 200:
            raise Refused(f"The site answered {status}.")
        media_type = response.headers.get("content-type", "").lower()
        if media_type.startswith(_NEVER_READ):
            raise Refused(f"The URL holds {media_type.split(';')[0][:40]} and no text.")


async def _read(response: httpx.Response, most: int) -> bytes:
    """The decompressed body, never more than `most` bytes of it in memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise Refused(
            f"The site compresses its pages in a way that we do not read ({encoding[:20]})."
        )
    plain = encoding in ("identity", "")
    inflate = zlib.decompressobj(47)  # gzip or zlib, whichever it is
    body = bytearray()
    empty = True
    started = time.monotonic()
    try:
        async for chunk in response.aiter_raw(_CHUNK):
            data, empty = chunk, False
            while data:
                body += data if plain else inflate.decompress(data, _CHUNK)
                data = b"" if plain else inflate.unconsumed_tail
                if len(body) > most:
                    raise Refused(f"The page is larger than {most // 1_000_000 or 1} MB.")
            if time.monotonic() - started > 0.2:
                await asyncio.sleep(0)  # a bomb must not hold the others up
                started = time.monotonic()
    except zlib.error as cause:
        raise Refused("The page is compressed and damaged.") from cause
    if not plain and not empty:
        body += inflate.flush()
        if not inflate.eof:
            raise TryLater("The page ended before its end.")
    return bytes(body)


def _page(url: str, headers: httpx.Headers, body: bytes) -> Fetched:
    return Fetched(
        url,
        body,
        media_type=headers.get("content-type", "")[:100] or None,
        etag=_kept(headers.get("etag")),
        last_modified=_kept(headers.get("last-modified")),
    )


def _of_the_sec(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "sec.gov" or host.endswith(".sec.gov")


def _kept(value: str | None) -> str | None:
    return value if value and len(value) <= 300 else None
