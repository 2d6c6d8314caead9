"""Bytes of text files as text: which encoding they are in, and when that cannot be known."""

from __future__ import annotations

import codecs
import re

from ai_investment.content.extraction import Block, Extracted, Unreadable, assemble, scrub, unwrap

# UTF-32 first: its little-endian mark starts with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What browsers know. Left out are DOS and mainframe code pages, which fit any bytes and turn é into ķ.
_GUESSES = [
    *(f"cp{page}" for page in (*range(1250, 1259), 874, 932, 949)),
    *("iso8859_2", "iso8859_5", "iso8859_7", "koi8_r", "koi8_u", "euc_jp", "gb18030", "big5"),
]
# Names that pages use for Windows-1252, as the WHATWG encoding standard has it.
_LATIN = frozenset({"ascii", "iso8859-1", "cp1252"})
_NOT_FOR_FILES = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7"})
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# Control characters that no text has: a Windows encoding was taken for its ISO namesake.
_UNUSED = re.compile(r"[\x80-\x84\x86-\x9f]")

_UNKNOWN = "The encoding of the text could not be determined; save the file as UTF-8."
_BINARY = "The file holds binary data and not text."


def read_text(data: bytes, charset: str | None) -> Extracted:
    """A plain text; lines that were wrapped to a page are joined. Raises Unreadable."""
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", scrub(decode(data, charset)))
    text, headings = assemble(Block(unwrap(part.split("\n"))) for part in paragraphs)
    return Extracted(text=text, headings=headings)


def decode(data: bytes, declared: str | None) -> str:
    """`data` as text by its byte order mark, `declared` charset, as UTF-8, or by a confident guess.

    Raises Unreadable for binary data and where no encoding can be relied on.
    """
    text = _decode(data, declared)
    # One stray control character in 200 is dirt; more is a picture or a program.
    if len(_CONTROL.findall(text)) * 200 > len(text):
        raise Unreadable(_BINARY)
    return _mended(text)


def _mended(text: str) -> str:
    """`text` with what was decoded wrongly before it came to us put right: â€œ is “ again, Ã¼ is ü.

    Line by line, and only sequences that no language has; else `text` itself.
    """
    if text.isascii():
        return text
    import ftfy
    from ftfy.badness import is_bad

    if not is_bad(text):
        return text
    nothing_else = ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_c1_controls=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=False,
        remove_control_chars=False,
        normalization=None,
    )
    return ftfy.fix_text(text, nothing_else)


def _decode(data: bytes, declared: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            if (text := _strictly(data, encoding)) is None:
                raise Unreadable(_UNKNOWN)
            return text
    name = _python_name(declared)
    if name and name.startswith(("utf-16", "utf-32")) and b"\0" not in data:
        name = None
    # Servers call UTF-8 "latin-1" far more often than latin-1 happens to be valid UTF-8.
    order = ["utf-8", "cp1252"] if name in _LATIN else [name or "utf-8", "utf-8"]
    for encoding in order:
        if (text := _strictly(data, encoding)) is not None:
            return text
    if name == "utf-8":
        text = data.decode("utf-8", "replace")
        if text.count("\ufffd") * 1000 <= len(text):
            return text
    return _guess(data)


def _python_name(declared: str | None) -> str | None:
    try:
        name = codecs.lookup(declared or "").name
    except (LookupError, ValueError):
        return None
    return None if name in _NOT_FOR_FILES else name


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (LookupError, ValueError):
        return None


def _guess(data: bytes) -> str:
    """Text in the likeliest legacy encoding; among equals Windows-1252, the commonest by far."""
    from charset_normalizer import from_bytes

    if b"\0" in data:
        raise Unreadable(_BINARY)
    matches = [m for m in from_bytes(data, cp_isolation=_GUESSES) if not _UNUSED.search(str(m))]
    if not matches:
        raise Unreadable(_UNKNOWN)
    best = min(
        matches, key=lambda m: (-m.coherence, m.chaos, "cp1252" not in m.could_be_from_charset)
    )
    foreign = sum(byte > 127 for byte in data) / len(data)
    # Too short to recognise a language: a few accents in Latin letters are still safe.
    if best.coherence == 0 and ("cp1252" not in best.could_be_from_charset or foreign > 0.2):
        raise Unreadable(_UNKNOWN)
    return str(best)
