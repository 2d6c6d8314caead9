"""Fetching from real servers: what is refused, what is bounded, how politely it is asked."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpcore
import pytest

from ai_investment.adapters.redis import connect_redis
from ai_investment.adapters.web import Limits, WebFetcher
from ai_investment.adapters.web.guard import GuardedBackend
from ai_investment.adapters.web.pace import OWN, SEC, Pace
from ai_investment.content.sources.fetching import (
    Busy,
    Gone,
    MissingContact,
    Refused,
    TryLater,
)
from tests.doubles.site import Asked, Page, Site
from tests.services import RedisServer


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({}) as site:
        yield site


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Any]:
    client = connect_redis(redis_server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def fetch(redis: Any, site: Site) -> AsyncIterator[WebFetcher]:
    limits = Limits(seconds=1.5, size=1_000_000)
    fetcher = WebFetcher(
        redis, contact="ops@example.org", private_hosts=frozenset({site.host}), limits=limits
    )
    yield fetcher
    await fetcher.close()


class TestGuard:
    """What is connected to is what was checked."""

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1"]
    )
    async def test_this_computer_is_refused_in_every_notation(
        self, redis: Any, site: Site, host: str
    ) -> None:
        site.pages["/"] = "secret"
        port = int(site.host.split(":")[1])
        backend = GuardedBackend(frozenset())
        with pytest.raises(Refused):
            await backend.connect_tcp(host, port)  # the port
        with pytest.raises(Refused, match="not public"):
            await backend.connect_tcp(host, 80)
        fetcher = WebFetcher(redis)
        with pytest.raises(Refused):
            await fetcher(f"http://{host}/")
        await fetcher.close()
        assert site.asked == []

    async def test_a_redirect_to_a_private_address_is_refused(
        self, fetch: WebFetcher, site: Site
    ) -> None:
        for number, target in enumerate(
            (
                "http://169.254.169.254/latest/meta-data/",
                "http://localhost/",
                "http://[::1]/",
                "file:///etc/passwd",
            )
        ):
            site.pages[f"/{number}"] = Page(status=302, headers={"Location": target})
            with pytest.raises(Refused):
                await fetch(site.url(f"/{number}"))

    async def test_a_name_with_a_public_and_a_private_address_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _resolve_to(monkeypatch, [["93.184.216.34", "10.0.0.1"]])
        with pytest.raises(Refused, match="not public"):
            await GuardedBackend().connect_tcp("mixed.example.org", 80)

    async def test_a_name_that_changes_after_the_check_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name says a public address when it is checked, and this computer ever after."""
        asked = _resolve_to(monkeypatch, [["93.184.216.34"], ["127.0.0.1"]])
        backend, connected = GuardedBackend(), []

        class Recorder(httpcore.AnyIOBackend):
            async def connect_tcp(self, host: str, *args: Any, **kwargs: Any) -> Any:
                connected.append(host)
                raise httpcore.ConnectError("recorded")

        backend._inner = Recorder()
        with pytest.raises(httpcore.ConnectError, match="recorded"):
            await backend.connect_tcp("rebind.example.org", 80)
        assert connected == ["93.184.216.34"]
        assert asked == ["rebind.example.org"]

    async def test_unix_sockets_are_refused(self) -> None:
        with pytest.raises(Refused):
            await GuardedBackend().connect_unix_socket("/var/run/docker.sock")


def _resolve_to(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


class TestPages:
    async def test_a_page_comes_with_what_is_needed_to_ask_for_changes_only(
        self, fetch: WebFetcher, site: Site
    ) -> None:
        def page(asked: Asked) -> Page:
            same = asked.headers.get("if-none-match") == '"v1"'
            return (
                Page(status=304)
                if same
                else Page("words", headers={"ETag": '"v1"', "Last-Modified": "x"})
            )

        site.pages["/a"] = page
        first = await fetch(site.url("/a"))
        again = await fetch(site.url("/a"), etag=first.etag, last_modified=first.last_modified)
        assert (first.body, first.etag, first.media_type) == (
            b"words",
            '"v1"',
            "text/html; charset=utf-8",
        )
        assert (again.not_modified, again.body) == (True, b"")
        assert site.asked[-1].headers["if-modified-since"] == "x"
        assert "ops@example.org" in site.asked[-1].headers["user-agent"]

    async def test_redirects_are_followed_to_an_end(self, fetch: WebFetcher, site: Site) -> None:
        site.pages["/old"] = Page(status=301, headers={"Location": "new#part"})
        site.pages["/new"] = "here"
        found = await fetch(site.url("/old"))
        assert (found.body, found.url) == (b"here", site.url("/new#part"))

    async def test_endless_redirects_end(self, fetch: WebFetcher, site: Site) -> None:
        site.pages["/loop"] = Page(status=302, headers={"Location": "/loop"})
        with pytest.raises(Refused, match="redirects"):
            await fetch(site.url("/loop"))
        assert site.times("/loop") == 6

    @pytest.mark.parametrize(
        ("page", "error", "words"),
        [
            (Page(status=404), Gone, "404"),
            (Page(status=410), Gone, "410"),
            (Page(status=403), Refused, "403"),
            (Page(status=500), TryLater, "500"),
            (Page(status=302), Refused, "302"),
            (Page(b"GIF8", headers={"Content-Type": "image/gif"}), Refused, "image/gif"),
            (Page(b"a" * 1_000_001), Refused, "larger than 1 MB"),
            (Page(b"x", headers={"Content-Encoding": "br"}), Refused, "compresses"),
            (Page(b"not gzip", headers={"Content-Encoding": "gzip"}), Refused, "damaged"),
            (Page(gzip.compress(b"words" * 1000)[:-20], headers={"Content-Encoding": "gzip"}), TryLater, "before its end"),
            (Page(b"cut", headers={"Content-Length": "1000", "Connection": "close"}), TryLater, "reached"),
        ],
    )  # fmt: skip
    async def test_what_is_no_page_says_what_it_is(
        self, fetch: WebFetcher, site: Site, page: Page, error: type[Exception], words: str
    ) -> None:
        site.pages["/a"] = page
        with pytest.raises(error, match=words):
            await fetch(site.url("/a"))

    @pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
    async def test_compressed_pages_are_read(
        self, fetch: WebFetcher, site: Site, compress: Any
    ) -> None:
        site.pages["/a"] = Page(compress(b"words " * 50_000), headers={"Content-Encoding": "gzip"})
        assert (await fetch(site.url("/a"))).body == b"words " * 50_000

    async def test_a_decompression_bomb_stops_at_the_limit(
        self, fetch: WebFetcher, site: Site
    ) -> None:
        site.pages["/bomb"] = Page(
            gzip.compress(bytes(60_000_000)), headers={"Content-Encoding": "gzip"}
        )
        started = time.monotonic()
        with pytest.raises(Refused, match="larger"):
            await fetch(site.url("/bomb"))
        assert time.monotonic() - started < 1

    async def test_a_server_that_drips_is_left_after_the_time_of_a_request(
        self, fetch: WebFetcher, site: Site
    ) -> None:
        def drip() -> Iterator[bytes]:
            while True:
                yield b"."
                time.sleep(0.1)

        site.pages["/drip"] = lambda _: Page(drip())
        started = time.monotonic()
        with pytest.raises(TryLater, match="did not finish"):
            await fetch(site.url("/drip"))
        assert time.monotonic() - started < 4

    async def test_a_server_that_is_not_there(self, fetch: WebFetcher, site: Site) -> None:
        dead = Site({})
        fetch._client._transport._pool._network_backend._private_hosts = frozenset({dead.host})  # type: ignore[attr-defined]
        fetch._private_hosts = frozenset({dead.host})
        dead._server.server_close()
        with pytest.raises(TryLater, match="reached"):
            await fetch(dead.url("/"))


class TestManners:
    async def test_robots_txt_is_asked_once_and_followed(
        self, fetch: WebFetcher, site: Site
    ) -> None:
        site.pages |= {
            "/robots.txt": "User-agent: *\nDisallow: /private\n",
            "/a": "a",
            "/private/b": "b",
        }
        await fetch(site.url("/a"))
        with pytest.raises(Refused, match="robots"):
            await fetch(site.url("/private/b"))
        assert [asked.path for asked in site.asked] == ["/robots.txt", "/a"]

    async def test_a_robots_txt_in_trouble_is_waited_for(
        self, fetch: WebFetcher, site: Site
    ) -> None:
        site.pages |= {"/robots.txt": Page(status=500), "/a": "a"}
        with pytest.raises(TryLater):
            await fetch(site.url("/a"))
        assert site.times("/a") == 0

    async def test_a_busy_site_is_left_alone_by_everybody_for_as_long_as_it_asks(
        self, fetch: WebFetcher, redis: Any, site: Site
    ) -> None:
        site.pages |= {"/a": Page(status=429, headers={"Retry-After": "40"}), "/b": "b"}
        with pytest.raises(Busy) as first:
            await fetch(site.url("/a"))
        assert 39 < first.value.seconds <= 40
        other = WebFetcher(redis, private_hosts=frozenset({site.host}))
        with pytest.raises(Busy):
            await other(site.url("/b"))
        await other.close()
        assert site.times("/b") == 0

    async def test_few_requests_at_once_go_to_one_host(self, fetch: WebFetcher, site: Site) -> None:
        under_way: list[int] = [0]
        most: list[int] = [0]

        def slow(_: Asked) -> str:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            time.sleep(0.4)
            under_way[0] -= 1
            return "a"

        site.pages["/a"] = slow
        await fetch(site.url("/a"))
        await asyncio.gather(*(fetch(site.url("/a")) for _ in range(8)))
        assert most[0] == OWN.at_once

    async def test_a_place_taken_by_a_process_that_died_is_free_again(self, redis: Any) -> None:
        pace = Pace(redis)
        await redis.zadd("fetch:{h}:busy", {"dead1": 1, "dead2": 2})
        async with asyncio.timeout(2):
            async with pace.turn("h", SEC):
                pass


class TestSec:
    async def test_without_a_contact_the_missing_setting_is_named(
        self, redis: Any, site: Site
    ) -> None:
        fetcher = WebFetcher(redis, private_hosts=frozenset({site.host}))
        with pytest.raises(MissingContact, match="FETCH_CONTACT"):
            await fetcher(site.url("/a"), rules="sec")
        with pytest.raises(MissingContact):
            await fetcher("https://www.sec.gov/Archives/edgar/data/1/a.htm")
        await fetcher.close()
        assert site.asked == []

    async def test_a_403_means_later_and_not_a_page(self, fetch: WebFetcher, site: Site) -> None:
        site.pages["/a"] = Page("<h1>Access refused</h1>", status=403)
        with pytest.raises(Busy) as first:
            await fetch(site.url("/a"), rules="sec")
        assert first.value.seconds >= 10

    async def test_all_processes_together_stay_below_ten_requests_a_second(
        self, redis: Any, redis_server: RedisServer, site: Site
    ) -> None:
        """Two fetchers with connections of their own, as in two worker processes."""
        site.pages |= {f"/{number}": "filing" for number in range(16)}
        other = connect_redis(redis_server.url)
        fetchers = [
            WebFetcher(client, contact="ops@example.org", private_hosts=frozenset({site.host}))
            for client in (redis, other)
        ]
        await asyncio.gather(
            *(fetchers[number % 2](site.url(f"/{number}"), rules="sec") for number in range(16))
        )
        for fetcher in fetchers:
            await fetcher.close()
        await other.aclose()
        times = [asked.at for asked in site.asked]
        busiest = max(sum(start <= at < start + 1 for at in times) for start in times)
        assert 4 <= busiest <= 10
