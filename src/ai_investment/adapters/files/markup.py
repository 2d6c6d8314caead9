"""Text and facts from HTML and Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import yaml

from ai_investment.adapters.files.plain import decode
from ai_investment.adapters.files.tree import blocks
from ai_investment.content.extraction import (
    Extracted,
    Meta,
    Reference,
    Unreadable,
    assemble,
    scrub,
    tidy,
)

_META_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
# With the time of day, the first publication where both are given, and no search through the prose.
_STATED_DATE = {
    "outputformat": "%Y-%m-%dT%H:%M:%S%z",
    "original_date": True,
    "extensive_search": False,
}
# The size of the file was checked; trafilatura's own limit is lower.
_NO_LIMIT = 2**40
_NO_CONTENT = "The web page holds no readable text."


def read_html(data: bytes, charset: str | None) -> Extracted:
    """The main text of a web page without navigation; `charset` is the one of the HTTP header.

    `published_at` is the date that the page states in its metadata or beside a label such as "Last
    updated"; dates in its prose are not taken for it. Raises Unreadable.
    """
    import trafilatura

    page = trafilatura.load_html(_document(data, charset), max_size=_NO_LIMIT)
    if page is None:
        raise Unreadable(_NO_CONTENT)
    _keep_what_would_be_lost(page)
    try:
        found = trafilatura.bare_extraction(
            page,
            with_metadata=True,
            include_formatting=True,
            include_comments=False,
            date_extraction_params=_STATED_DATE,
        )
    except Exception as cause:
        # On damaged pages trafilatura and htmldate fail with errors of any class, AssertionError too.
        raise Unreadable("The web page is damaged.") from cause
    if found is None or isinstance(found, dict) or found.body is None:
        raise Unreadable(_NO_CONTENT)
    text, headings = assemble(blocks(found.body))
    return Extracted(
        text=text,
        headings=headings,
        title=_line(found.title),
        author=_line(found.author),
        published_at=_moment(found.date),
        url=_web_address(found.url),
        language=_language(page.get("lang")),
        meta=_meta({"summary": found.description}),
    )


def _document(data: bytes, charset: str | None) -> str:
    """The markup of a whole page; a fragment is put into one."""
    if charset is None and (stated := _META_CHARSET.search(data[:4096])):
        charset = stated[1].decode("ascii", "ignore")
    markup = scrub(decode(data, charset))
    if re.search(r"<(?:html|body)[\s>]", markup, re.IGNORECASE):
        return markup
    return f"<html><body>{markup}</body></html>"


def _keep_what_would_be_lost(page: Any) -> None:
    """Renames elements whose content trafilatura drops (lists in cells) or reflows (code without <code>)."""
    for item in list(page.iterfind(".//td//li")):
        # Lists of links in cells are the navigation of old pages and may go.
        if item.find(".//a") is None and (parent := item.getparent()) is not None:
            item.tag, parent.tag = "p", "div"
    for code in list(page.iterfind(".//pre")):
        if code.find(".//code") is None:
            code.tag = "code"


_FRONT_MATTER = re.compile(
    r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_FRONT_MATTER_LIMIT = 65_536


def read_markdown(data: bytes, charset: str | None) -> Extracted:
    """The plain text of CommonMark with GitHub tables, and the facts in its YAML front matter.

    Raises Unreadable.
    """
    import trafilatura
    from markdown_it import MarkdownIt

    facts, source = _front_matter(scrub(decode(data, charset)))
    markup = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(source)
    page = trafilatura.load_html(f"<html><body>{markup}</body></html>", max_size=_NO_LIMIT)
    if page is None:
        raise Unreadable("The file holds no text.")
    text, headings = assemble(blocks(page))
    author = facts.get("author") or facts.get("authors")
    if isinstance(author, list):
        author = ", ".join(name for name in author if isinstance(name, str))
    return Extracted(
        text=text,
        headings=headings,
        title=_line(facts.get("title")) or next((h.text for h in headings if h.level == 1), None),
        author=_line(author),
        published_at=_moment(facts.get("date") or facts.get("published")),
        url=_web_address(facts.get("url") or facts.get("canonical_url")),
        language=_language(facts.get("language") or facts.get("lang")),
        meta=_meta(facts),
    )


def _front_matter(source: str) -> tuple[Mapping[str, object], str]:
    """The YAML mapping between `---` lines at the start, and the rest."""
    match = _FRONT_MATTER.match(source, 0, _FRONT_MATTER_LIMIT)
    if match is None:
        return {}, source
    try:
        facts = yaml.load(match[1], Loader=yaml.CSafeLoader)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        raise Unreadable(f"The front matter is not valid YAML{where}.") from cause
    except (ValueError, RecursionError) as cause:
        raise Unreadable("The front matter holds a value that cannot be read.") from cause
    # Anything else is a text that begins with a horizontal rule.
    return (facts, source[match.end() :]) if isinstance(facts, dict) else ({}, source)


def _meta(facts: Mapping[str, object]) -> Meta:
    """The well-formed ones; an uploaded file may hold anything under these names."""
    meta: Meta = {}
    if topic := _line(facts.get("topic")):
        meta["topic"] = topic
    if level := _line(facts.get("level")):
        meta["level"] = level
    if summary := _line(facts.get("summary") or facts.get("description")):
        meta["summary"] = summary
    with suppress(KeyError, msgspec.ValidationError):
        meta["sources"] = msgspec.convert(facts["sources"], list[Reference])
    if reviewed := _moment(facts.get("reviewed")):
        meta["reviewed"] = reviewed.date()
    return meta


def _line(value: object) -> str | None:
    """A scalar as one line of text, None when there is nothing in it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return " ".join(tidy(str(value)).split()) or None


def _moment(value: object) -> datetime | None:
    """An aware UTC time; without a zone the time is taken as UTC, a day as its midnight."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _web_address(value: object) -> str | None:
    address = _line(value)
    return address if address and re.match(r"https?://\S+\Z", address) else None


def _language(value: object) -> str | None:
    code = re.match(r"[a-z]{2,3}(?![a-z])", (_line(value) or "").lower())
    return code[0] if code else None
