"""The reader's process: feeds and sitemaps as they come, and files that would stop a worker."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from ai_investment.adapters.reader import ReaderProcess
from ai_investment.adapters.reader.dates import whole_date
from ai_investment.adapters.reader.feeds import read_feed, read_sitemap
from ai_investment.content.extraction import Unreadable
from tests.adapters.reading import CASES, PARAGRAPH

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
async def reader() -> AsyncIterator[ReaderProcess]:
    reader = ReaderProcess()
    yield reader
    await reader.close()


async def read(reader: ReaderProcess, data: bytes, media_type: str = "application/pdf") -> str:
    return (await reader.extract(data, media_type=media_type, name="file")).text


async def reason(reader: ReaderProcess, data: bytes, media_type: str = "application/pdf") -> str:
    with pytest.raises(Unreadable) as refusal:
        await read(reader, data, media_type)
    return refusal.value.reason


def pdf(pages: int, **options: Any) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, **options)
    for number in range(pages):
        canvas.drawString(72, 700, f"Page {number}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def built(*objects: bytes) -> bytes:
    """A PDF of these objects; the first is its root."""
    body, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, item)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(body))
    return body + head + table + end


ROOT = b"<</Type/Catalog/Pages 2 0 R>>"


def pdf_of_pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    return built(ROOT, b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count), *[page] * count)


def pdf_bomb(size: int) -> bytes:
    """One page whose content stream is `size` bytes after decompression."""
    stream = zlib.compress(b"BT /F1 1 Tf (a) Tj ET\n" * (size // 22), 1)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>"
    content = b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(stream), stream)
    return built(ROOT, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, content)


async def _memory(reader: ReaderProcess, peaks: list[int]) -> None:
    """The most memory (MB) that the reader's process ever had, for ever."""
    while True:
        await asyncio.sleep(0.02)
        if reader._child is not None:
            with suppress(OSError, IndexError):
                status = Path(f"/proc/{reader._child.pid}/status").read_text()
                peaks.append(int(status.split("VmHWM:")[1].split()[0]) // 1024)


class TestProcess:
    async def test_files_that_would_stop_a_worker_are_refused_and_the_next_is_read(
        self, reader: ReaderProcess
    ) -> None:
        peaks: list[int] = []
        watch = asyncio.create_task(_memory(reader, peaks))
        assert "2,000 pages" in await reason(reader, pdf_of_pages(10_000))
        assert "password" in await reason(reader, pdf(1, encrypt=StandardEncryption("secret")))
        assert await reason(reader, pdf_bomb(400_000_000))
        assert "compressed" in await reason(reader, gzip.compress(bytes(1000)), "text/html")
        assert "Office" in await reason(reader, b"PK\x03\x04" + bytes(1000), "application/zip")
        assert await reason(reader, b"<p>" * 1_000_000, "text/html")
        assert await read(reader, b"Fees are low.", "text/plain") == "Fees are low."
        watch.cancel()
        assert 50 < max(peaks) <= 400

    async def test_a_file_that_takes_too_long_is_given_up(self) -> None:
        reader = ReaderProcess()
        assert await read(reader, b"Warm.", "text/plain")
        reader._seconds = 1
        started = time.monotonic()
        slow = (
            b"<html><body>"
            + b"<p>Fees are low, and <b>risk</b> is high in this fund.</p>" * 300_000
        )
        assert await reason(reader, slow, "text/html")
        assert time.monotonic() - started < 10
        reader._seconds = 60
        assert await read(reader, b"Fees are low.", "text/plain") == "Fees are low."
        await reader.close()

    async def test_a_reader_that_is_killed_is_replaced(self, reader: ReaderProcess) -> None:
        await read(reader, b"One.", "text/plain")
        assert reader._child is not None
        reader._child.kill()
        assert await read(reader, b"Two.", "text/plain") == "Two."

    async def test_a_caller_that_goes_away_leaves_no_answer_for_the_next(
        self, reader: ReaderProcess
    ) -> None:
        await read(reader, b"Warm.", "text/plain")
        task = asyncio.create_task(
            reader.extract(b"Mine. " * 100_000, media_type="text/plain", name="a")
        )
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await read(reader, b"Yours.", "text/plain") == "Yours."

    async def test_it_sees_no_secret(
        self, reader: ReaderProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_KEY", "canary")
        await read(reader, b"One.", "text/plain")
        assert reader._child is not None
        assert b"canary" not in Path(f"/proc/{reader._child.pid}/environ").read_bytes()
        assert "canary" in os.environ.values()


class TestFeeds:
    def test_slash_dates_are_read_whole(self) -> None:
        case = CASES / "feed-slash-date"
        expected = json.loads((case / "expected.json").read_text())
        found = read_feed(
            (case / "feed.xml").read_bytes(), url="https://news.example.org/f", media_type=None
        )
        for entry in found.entries:
            said = entry.published_at and entry.published_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            allowed = expected[entry.id]
            assert said in (allowed if isinstance(allowed, list) else [allowed])
        assert found.entries[0].published_at == datetime(2024, 3, 27, 18, 22, 9, tzinfo=UTC)

    def test_feeds_without_dates_ids_or_absolute_links(self) -> None:
        data = b"""<rss version="2.0"><channel><title>T</title>
            <item><title>One</title><link>/one</link><description>&lt;p&gt;A &lt;b&gt;bold&lt;/b&gt; word&lt;/p&gt;</description></item>
            <item><title>Only a title</title></item>
            <item><link>javascript:alert(1)</link><description>x</description></item><item></item>
            <item><title>Later</title><link>two</link><pubDate>Mon, 01 Jan 2035 00:00:00 GMT</pubDate></item>
            </channel></rss>"""
        found = read_feed(data, url="https://example.org/feeds/a.xml", media_type=None)
        assert [entry.url for entry in found.entries if entry.url] == [
            "https://example.org/one", "https://example.org/feeds/two",
        ]  # fmt: skip
        assert found.entries[0].text == "A bold word"
        assert all(entry.published_at is None for entry in found.entries)

    def test_atom_with_its_content_and_older_page(self) -> None:
        data = """<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><link rel="prev-archive" href="/old"/>
            <entry><id>urn:1</id><title type="html">Fees &amp;amp; funds</title><link href="https://example.org/a"/>
            <updated>2024-05-02T08:00:00+02:00</updated><summary>Short</summary>
            <content type="html">&lt;p&gt;The whole text is longer.&lt;/p&gt;</content></entry></feed>"""
        found = read_feed(
            data.encode(), url="https://example.org/atom", media_type="application/atom+xml"
        )
        [entry] = found.entries
        assert (entry.title, entry.text) == ("Fees & funds", "The whole text is longer.")
        assert entry.published_at == datetime(2024, 5, 2, 6, tzinfo=UTC)
        assert found.older == "https://example.org/old"

    @pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16"])
    def test_charsets(self, encoding: str) -> None:
        data = f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><item><title>Größe</title></item></channel></rss>'
        found = read_feed(
            data.encode(encoding), url="https://example.org/", media_type="application/xml"
        )
        assert found.entries[0].title == "Größe"

    async def test_entity_bombs_and_outside_entities_do_nothing(
        self, reader: ReaderProcess
    ) -> None:
        laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
        bomb = f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        item = "<item><title>&l9;&f;</title><link>https://example.org/</link></item>"
        data = f'<?xml version="1.0"?>{bomb}<rss version="2.0"><channel>{item}</channel></rss>'.encode()
        started = time.monotonic()
        try:
            found = await reader.feed(data, url="https://example.org/", media_type=None)
        except Unreadable:
            found = None
        said = "".join(entry.title + entry.text for entry in found.entries) if found else ""
        assert "root:" not in said
        assert len(said) < 10_000
        assert time.monotonic() - started < 30
        with pytest.raises(Unreadable):
            await reader.sitemap(data)

    def test_what_is_no_feed(self) -> None:
        for data in (b"", b"<html><body>404</body></html>", b"\x00\x01", b"{}"):
            with pytest.raises(Unreadable):
                read_feed(data, url="https://example.org/", media_type="text/html")


class TestSitemaps:
    def test_pages_indexes_text_files_and_gzip(self) -> None:
        xml = b"<urlset><url><loc> https://example.org/a </loc></url><url><loc>ftp://x/</loc></url></urlset>"
        assert read_sitemap(xml).pages == ["https://example.org/a"]
        assert read_sitemap(gzip.compress(xml)).pages == ["https://example.org/a"]
        index = (
            b"<sitemapindex><sitemap><loc>https://example.org/1.xml</loc></sitemap></sitemapindex>"
        )
        assert read_sitemap(index).sitemaps == ["https://example.org/1.xml"]
        assert read_sitemap(b"https://example.org/a\nhttps://example.org/b\n").pages[1:] == [
            "https://example.org/b"
        ]

    def test_damage_and_bombs(self) -> None:
        whole = gzip.compress(b"<urlset><url><loc>https://example.org/a</loc></url></urlset>")
        for data in (
            whole[:-9],
            gzip.compress(bytes(60_000_000)),
            b"",
            b"<urlset></urlset>",
            b"nothing",
        ):
            with pytest.raises(Unreadable):
                read_sitemap(data)


class TestDates:
    @pytest.mark.parametrize(
        ("text", "iso"),
        [
            ("Wed, 27 Mar 2024 18:22:09 +0000", "2024-03-27T18:22:09"),
            ("27 March 2024 18:22 EST", "2024-03-27T23:22:00"),
            ("2024-03-27T18:22:09.123+02:00", "2024-03-27T16:22:09"),
            ("2024/3/27 18:22:09", "2024-03-27T18:22:09"),
            ("2024-03-27", "2024-03-27T00:00:00"),
        ],
    )
    def test_whole_dates(self, text: str, iso: str) -> None:
        found = whole_date(text, now=NOW)
        assert found
        assert found.strftime("%Y-%m-%dT%H:%M:%S") == iso

    @pytest.mark.parametrize(
        "text",
        ["", "2024", "03/04/2024", "3/27/2024 18:22", "2024-13-01", "2024-02-30", "yesterday", "Mar 2024",
         "2024-03-27 25:00", "1970-01-01T00:00:00Z", "2031-01-01", "27 Xyz 2024 10:00", "20240327"],
    )  # fmt: skip
    def test_parts_and_guesses_are_no_dates(self, text: str) -> None:
        assert whole_date(text, now=NOW) is None

    @given(st.text(max_size=40))
    def test_any_text_is_a_moment_or_nothing(self, text: str) -> None:
        found = whole_date(text, now=NOW)
        assert found is None or found.tzinfo is not None


def test_text_that_was_decoded_wrongly_before_is_put_right() -> None:
    from ai_investment.adapters.files import extract

    broken = "The bankâ€™s fee is 5â€“6 percent. GrÃ¶ÃŸe zÃ¤hlt. Crème brûlée stays. " + PARAGRAPH
    found = extract(broken.encode(), media_type="text/plain", name="a.txt")
    assert found.text.startswith("The bank’s fee is 5–6 percent. Größe zählt. Crème brûlée stays.")
