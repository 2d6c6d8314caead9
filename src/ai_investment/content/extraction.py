"""What a readable document is: its final text, headings and facts, whatever file it came from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TypedDict

import msgspec


class Unreadable(Exception):
    """No text can be taken from the file; `reason` is a sentence fit for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reference(msgspec.Struct, frozen=True):
    """One source that a document names."""

    title: str
    url: str


class Meta(TypedDict, total=False):
    """What front matter says beyond the fields of Extracted; a key is there only when it is well formed."""

    topic: str
    level: str
    summary: str
    sources: list[Reference]
    reviewed: date


class Heading(msgspec.Struct, frozen=True):
    """A heading that stands on a line of its own: `Extracted.text[start:start + len(text)] == text`."""

    start: int
    level: int
    text: str


class Extracted(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it is stored. `text` is final: every offset anywhere points into exactly this string.

    `text` is plain, non-empty and tidy (see `tidy`); `headings` are in order of `start`;
    `published_at` is aware and in UTC; `language` is a lower-case ISO 639 code.
    """

    text: str
    title: str | None = None
    headings: list[Heading] = []
    author: str | None = None
    published_at: datetime | None = None
    url: str | None = None
    language: str | None = None
    meta: Meta = {}


class Block(msgspec.Struct, frozen=True):
    """A paragraph, list item, table row, code or heading (`level` 1 to 6; 0 is no heading).

    `tight` puts it right under the block before, without an empty line between.
    """

    text: str
    level: int = 0
    tight: bool = False


_LINE_ENDS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Besides control characters: what is invisible and breaks search (soft hyphen, zero-width space, byte
# order mark), what reorders text for the eye only, and code points that databases and JSON refuse.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    r"\ud800-\udfff\ufffe\uffff]"
)
# Only these: NFKC of everything would turn 10² into 102 and ½ into 1/2.
_LIGATURES = str.maketrans(
    {chr(c): unicodedata.normalize("NFKC", chr(c)) for c in range(0xFB00, 0xFB07)}
)


def scrub(text: str) -> str:
    """`text` in NFC with `\\n` as the only line end, `\\t` as the only control character, plain spaces
    for all others, and ligatures as letters."""
    text = _LINE_ENDS.sub("\n", text)
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text)).translate(_LIGATURES)
    return unicodedata.normalize("NFC", text)


def tidy(text: str) -> str:
    """`scrub`, and no space at line ends, at most two newlines in a row and none at either end."""
    text = "\n".join(line.rstrip(" \t") for line in scrub(text).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def assemble(blocks: Iterable[Block]) -> tuple[str, list[Heading]]:
    """The final text of a document and its headings; empty blocks leave no trace.

    Raises Unreadable when nothing is left.
    """
    parts: list[str] = []
    headings: list[Heading] = []
    length = 0
    for block in blocks:
        text = tidy(block.text)
        if not text.strip():
            continue
        if block.level:
            text = " ".join(text.split())
        if parts:
            parts.append("\n" if block.tight else "\n\n")
            length += len(parts[-1])
        if block.level:
            headings.append(Heading(start=length, level=block.level, text=text))
        parts.append(text)
        length += len(text)
    if not parts:
        raise Unreadable("The file holds no text.")
    return "".join(parts), headings


_WIDEST_PAGE = 160
_LIST_ITEM = re.compile(r"(?:[-*•·‣▪–]|\(?[0-9]{1,3}[.)]|\(?[a-z]\))\s")
# Tab, aligned columns, or commas that separate fields and not thousands.
_COLUMNS = re.compile(r"\t|\S {2,}\S| \| |,(?!\d{3}\b)\S[^,]*,(?!\d{3}\b)\S")


def unwrap(lines: Sequence[str]) -> str:
    """Lines of a page or a plain text with sentences put back on one line each.

    Two lines become one where the first is about as wide as the page (or the second goes on in lower
    case) and ends no sentence; list items, table rows and indented lines stay alone. Text that was
    never wrapped to a page comes back unchanged.
    """
    widths = sorted(len(line) for line in lines if line.strip())
    page = max(widths[len(widths) * 9 // 10], 30) if widths else 0
    if page > _WIDEST_PAGE:
        return "\n".join(lines)
    whole: list[list[str]] = []
    previous = ""
    for line in lines:
        if whole and _goes_on(previous, line, page):
            whole[-1].append(line)
        else:
            whole.append([line])
        previous = line
    return "\n".join(" ".join(part.rstrip() for part in parts) for parts in whole)


def _goes_on(previous: str, line: str, page: int) -> bool:
    """Whether the sentence in `previous` continues in `line`; `page` is the width in characters."""
    if not previous.strip() or not line.strip() or line[0].isspace():
        return False
    if _LIST_ITEM.match(line) or _is_row(line) or _is_row(previous):
        return False
    if previous.rstrip().endswith((".", "!", "?", ":", ";")):
        return False
    return len(previous) >= page * (0.5 if line[0].islower() else 0.75)


def _is_row(line: str) -> bool:
    """Whether `line` looks like a row of a table: columns, or mostly numbers."""
    words = line.split()
    numbers = sum(any(map(str.isdigit, word)) for word in words)
    return numbers * 2 > len(words) or bool(_COLUMNS.search(line))
