"""Where sentences begin and end."""

from __future__ import annotations

import re

from sentencex import get_sentence_boundaries

_LINE = re.compile(r"[^\n]+")
# sentencex takes quadratic time on quotation marks, so that it never sees more than this at once.
_WINDOW = 10_000
_MARKER = re.compile(r"\(?(?:[0-9]{1,3}|[a-zA-Z])[.)]\Z")
# What sentencex does not know; none of them ends a sentence when a number or small letter follows.
_SHORT = re.compile(
    r"\b(?:approx|avg|max|min|est|incl|excl|resp|et al|p\.a|mio|mrd|bn|mn|tn|sec|ca)\.\Z",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[$€£¥~<>+−-]?\s?[0-9]")
_WORD = re.compile(r"[^\W\d_]+")


def sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of `text` in order as character offsets (start, end), without white space around.

    They cover everything but white space. A newline always ends a sentence; a table row (cells
    between ` | `) is one, and so is a list marker with the sentence that follows it. What is longer
    than 10,000 characters may be cut.
    """
    found: list[tuple[int, int]] = []
    for line in _LINE.finditer(text):
        if " | " in line[0]:
            found.append((line.start(), line.end()))
        else:
            found += _in_line(text, line.start(), line.end())
    trimmed = (trim(text, start, end) for start, end in found)
    return [(start, end) for start, end in trimmed if start < end]


def _in_line(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    first = start
    while start < end:
        window = text[start : min(end, start + _WINDOW)]
        ends = [start + found["end_index"] for found in get_sentence_boundaries("en", window)]
        if start + len(window) < end:
            # The last one may go on beyond the window; one that fills it is cut between words.
            ends = ends[:-1] or [start + (window.rfind(" ") + 1 or len(window))]
        for stop in ends:
            if spans and not _ends_sentence(text, *spans[-1], first):
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((start, stop))
            start = stop
    return spans


def _ends_sentence(text: str, start: int, end: int, line: int) -> bool:
    """Whether the sentence from `start` really ends at `end`, where sentencex sees an end."""
    # A few characters tell; slices of all that was joined so far would take quadratic time.
    before = text[max(start, end - 16) : end].rstrip()
    if start == line and end - start < 8 and _MARKER.match(before):
        return False
    if not before.endswith("."):
        return True
    if text[end - 1] == ".":
        # example.com, Inc.(A): no space, no new sentence.
        return False
    after = text[end : end + 40]
    if (word := _WORD.match(after)) and word[0].islower():
        return False
    return not (_SHORT.search(before) and _NUMBER.match(after))


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the white space at its ends; of nothing but white space, an empty one."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
