"""Text out of files: the bytes say what a file is, its media type and name only where they cannot."""

from __future__ import annotations

import re
from email.message import Message
from pathlib import PurePath
from typing import Literal

from ai_investment.content.extraction import Extracted, Unreadable

MAX_BYTES = 25 * 1024 * 1024

_Kind = Literal["pdf", "html", "markdown", "text"]

_BY_MEDIA_TYPE: dict[str, _Kind] = {
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
}
_BY_SUFFIX: dict[str, _Kind] = {
    ".pdf": "pdf",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
}
_READABLE = "PDF, HTML, Markdown and plain text can be read"

# What people do upload by mistake, by its first bytes.
_FOREIGN = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "an image, sound or video file",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"{\\rtf": "a rich text document",
    b"\x1f\x8b": "a compressed file",
    b"BZh": "a compressed file",
    b"7z\xbc\xaf": "a compressed file",
    b"\xfd7zXZ": "a compressed file",
    b"\x7fELF": "a program",
    b"MZ\x90\x00": "a program",
    b"SQLite format 3": "a database",
}
_PDF = re.compile(rb"(?:\xef\xbb\xbf)?\s*%PDF-")
_HTML = re.compile(
    r"\ufeff?\s*(?>(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*)(?:<!doctype\s+html|<html[\s>])",
    re.DOTALL | re.IGNORECASE,
)


def extract(data: bytes, *, media_type: str | None, name: str) -> Extracted:
    """The text and facts in a file of at most MAX_BYTES; `media_type` may carry a charset.

    Raises Unreadable, and nothing else, for data of whatever kind.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"The file is larger than {MAX_BYTES // 1024**2} MB.")
    if not data.strip():
        raise Unreadable("The file is empty.")
    header = Message()
    header["Content-Type"] = media_type or "application/octet-stream"
    charset = header.get_content_charset()
    match _kind(data, header.get_content_type(), PurePath(name).suffix.lower()):
        case "pdf":
            from ai_investment.adapters.files.pdf import read_pdf

            return read_pdf(data)
        case "html":
            from ai_investment.adapters.files.markup import read_html

            return read_html(data, charset)
        case "markdown":
            from ai_investment.adapters.files.markup import read_markdown

            return read_markdown(data, charset)
        case "text":
            from ai_investment.adapters.files.plain import read_text

            return read_text(data, charset)


def _kind(data: bytes, media_type: str, suffix: str) -> _Kind:
    if _PDF.match(data):
        return "pdf"
    for magic, what in _FOREIGN.items():
        if data.startswith(magic):
            raise Unreadable(f"The file is {what}; {_READABLE}.")
    claimed = _BY_MEDIA_TYPE.get(media_type) or _BY_SUFFIX.get(suffix)
    is_html = _looks_like_html(data)
    if claimed == "pdf":
        # Usually an error or login page that was saved under the document's name.
        found = "a web page and not a PDF" if is_html else "damaged or not a PDF"
        raise Unreadable(f"The PDF is {found}.")
    if is_html:
        return "html"
    if claimed is None and not media_type.startswith(("text/", "application/octet-stream")):
        raise Unreadable(f"Files of type {media_type} are not supported; {_READABLE}.")
    return claimed or "text"


def _looks_like_html(data: bytes) -> bool:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return bool(_HTML.match(data[:2048].decode("utf-16" if utf16 else "latin-1", "ignore")))
