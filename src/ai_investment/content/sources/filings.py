"""Filings of a company from the SEC's submissions JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from ai_investment.content.sources.addresses import normal_url
from ai_investment.content.sources.define import Options
from ai_investment.content.sources.fetching import Refused
from ai_investment.content.sources.listing import Listed, Listing, Using, json_of, key_of
from ai_investment.content.sources.models import Source

_ARCHIVES = "https://www.sec.gov/Archives/edgar/data"


class Columns(msgspec.Struct, rename="camel"):
    """Filings as the SEC lists them: one list per column, newest first."""

    accession_number: list[str]
    form: list[str]
    filing_date: list[str]
    primary_document: list[str]
    report_date: list[str] = []


class OlderFile(msgspec.Struct):
    name: str


class Filings(msgspec.Struct):
    recent: Columns
    files: list[OlderFile] = []


class Submissions(msgspec.Struct):
    cik: int | str
    name: str
    filings: Filings


async def list_filings(
    use: Using, source: Source, options: Options, *, everything: bool
) -> Listing:
    """The filings of the wanted forms; with `everything` also those in the files of older ones."""
    page = await use.fetch(source.url, rules="sec")
    found: Submissions = json_of(page, Submissions)
    archives = options.archives or _archives_of(source.url)
    columns = [found.filings.recent]
    if everything:
        for file in found.filings.files:
            older = await use.fetch(urljoin(source.url, file.name), rules="sec")
            columns.append(json_of(older, Columns))
    items = [item for part in columns for item in _filings(part, found, archives, options.forms)]
    if not items:
        raise Refused(f"There is no filing of the forms {', '.join(options.forms)}.")
    return Listing(items=items)


def _archives_of(url: str) -> str:
    """Where the filings lie: with the SEC, or beside the stand-in that the source names."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith("sec.gov"):
        return _ARCHIVES
    return f"{parts.scheme}://{parts.netloc}/Archives/edgar/data"


def _filings(part: Columns, found: Submissions, archives: str, forms: list[str]) -> list[Listed]:
    report_dates: list[Any] = part.report_date or [""] * len(part.form)
    rows = zip(part.accession_number, part.form, part.filing_date, part.primary_document,
               report_dates, strict=False)  # fmt: skip
    items = []
    for accession, form, filed, document, reported in rows:
        if form not in forms or not document:
            continue
        url = f"{archives}/{int(found.cik)}/{accession.replace('-', '')}/{document}"
        items.append(
            Listed(
                key=key_of(normal_url(url)),
                url=url,
                title=f"{found.name}: {form}"
                + (f" for {reported}" if reported else f" of {filed}"),
                author=found.name,
                published_at=datetime.combine(date.fromisoformat(filed), time(), UTC),
            )
        )
    return items
