"""Text and facts from PDFs."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pypdfium2

from ai_investment.content.extraction import (
    Block,
    Extracted,
    Unreadable,
    assemble,
    scrub,
    tidy,
    unwrap,
)

MAX_PAGES = 2_000

# PDFium is not thread-safe.
_PDFIUM = threading.Lock()
_PASSWORD_WANTED = 4
# PDFium's mark for a hyphen at the end of a line.
_HYPHEN = "\x02"
_NO_TITLE = re.compile(r"\(.*\)\Z|untitled|Microsoft \w+ - |.*\.(?:docx?|pptx?|indd|pdf)\Z", re.I)


def read_pdf(data: bytes) -> Extracted:
    """The text of a PDF page by page, with headings where its outline (bookmarks) names a line.

    The dates in a PDF say when the file was made, so `published_at` stays None. Raises Unreadable.
    """
    # PDFium repairs a cut-off file and silently leaves pages out.
    if b"%%EOF" not in data[-4096:]:
        raise Unreadable("The PDF is damaged: its end is missing.")
    try:
        with _PDFIUM, closing(_open(data)) as document:
            pages = list(_pages(document))
            outline = _outline(document)
            facts = document.get_metadata_dict()
    except pypdfium2.PdfiumError as cause:
        raise Unreadable("The PDF is damaged.") from cause
    if not any(page.strip() for page in pages):
        raise Unreadable("The PDF holds no text; it may be a scan.")
    words = Counter(re.findall(r"\w+(?:-\w+)*", " ".join(pages).lower()))
    text, headings = assemble(
        block
        for number, page in enumerate(pages)
        for block in _blocks(_unhyphenate(page, words), outline.get(number, {}))
    )
    title = " ".join(tidy(facts.get("Title", "")).split())
    author = " ".join(tidy(facts.get("Author", "")).split())
    return Extracted(
        text=text,
        headings=headings,
        title=None if _NO_TITLE.match(title) else title or None,
        author=None if _NO_TITLE.match(author) else author or None,
    )


def _open(data: bytes) -> Any:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as cause:
        if cause.err_code == _PASSWORD_WANTED:
            raise Unreadable("The PDF is protected by a password.") from cause
        raise Unreadable("The PDF is damaged or not a PDF.") from cause
    if len(document) > MAX_PAGES:
        document.close()
        raise Unreadable(f"The PDF has more than {MAX_PAGES:,} pages.")
    return document


def _pages(document: Any) -> Iterator[str]:
    for number in range(len(document)):
        try:
            with closing(document[number]) as page, closing(page.get_textpage()) as text:
                yield text.get_text_bounded()
        except pypdfium2.PdfiumError as cause:
            raise Unreadable(f"The PDF is damaged on page {number + 1}.") from cause


def _outline(document: Any) -> dict[int, dict[str, int]]:
    """For each page index the bookmarks that lead to it: folded title to heading level."""
    outline: dict[int, dict[str, int]] = {}
    for bookmark in document.get_toc():
        target = bookmark.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            outline.setdefault(page, {})[_folded(bookmark.get_title())] = min(bookmark.level + 1, 6)
    return outline


def _folded(line: str) -> str:
    return " ".join(scrub(line).casefold().split())


def _blocks(page: str, titles: dict[str, int]) -> Iterator[Block]:
    """The lines of a page, with those in `titles` as headings of that level."""
    lines: list[str] = []
    for line in page.split("\n"):
        level = titles.get(_folded(line))
        if level is None:
            lines.append(line)
            continue
        yield Block(unwrap(lines))
        yield Block(line, level=level)
        lines = []
    yield Block(unwrap(lines))


def _unhyphenate(page: str, words: Counter[str]) -> str:
    """Lines that end in a hyphen joined: without it unless the document shows that it belongs there."""

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        whole, compound = (left + right).lower(), f"{left}-{right}".lower()
        both_words = words[left.lower()] > 1 and words[right.lower()] > 1
        hyphen = (
            not (left + right).isalpha() or words[compound] or (both_words and not words[whole])
        )
        return f"{left}-{right}" if hyphen else left + right

    page = re.sub(rf"\b(\w+){_HYPHEN}\s*(\w+)", join, page)
    return "\n".join(
        " ".join(line.split()) for line in scrub(page.replace(_HYPHEN, "-")).split("\n")
    )
