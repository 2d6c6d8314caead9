"""Checking statements in code: quotes verbatim, numbers traced, no links of a writer's own."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ai_investment.answers.models import Statement
from ai_investment.content.find import Passage

_NUMBER = re.compile(r"\d[\d,.\u00a0\u202f]*\d|\d")
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|https?://\S+|</?[A-Za-z][^>]*>|\[\d+\]")
# What must not stand in an answer after the cleaning, however it was put together.
_STILL_MARKUP = re.compile(r"https?://|www\.|\]\s*[(\[]|</?[A-Za-z]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SPACE = re.compile(r"\s+")


class Found(msgspec.Struct, frozen=True):
    """A quote where it stands: `passage.text[start:end]`."""

    passage: Passage
    start: int
    end: int


class Verified(msgspec.Struct, frozen=True):
    """A statement that passed: its clean text, and where each of its quotes stands."""

    text: str
    found: list[Found]
    quoted: bool


def verify(statement: Statement, passages: Sequence[Passage], question: str) -> Verified | None:
    """The statement with its quotes located, or None when it may not be shown.

    It fails when no quote is found verbatim (white space aside) in its passage, or when a number in its
    text stands neither in a quoted passage nor in the question.
    """
    by_id = {passage.id: passage for passage in passages}
    found = []
    for quote in statement.quotes:
        passage = by_id.get(quote.passage_id)
        span = locate(quote.text, passage.text) if passage else None
        if passage and span:
            found.append(Found(passage, *span))
    if not found:
        return None
    text = _CONTROL.sub("", statement.text)
    if not statement.quoted:
        text = _MARKUP.sub(lambda match: match[1] or "", text).strip()
    if _STILL_MARKUP.search(text):
        return None
    allowed = numbers(question).union(*(numbers(item.passage.text) for item in found))
    if not text or numbers(text) - allowed:
        return None
    return Verified(text, found, statement.quoted)


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Where `quote` stands in `text`; runs of white space match each other, nothing else is forgiven."""
    words = _SPACE.split(quote.strip())
    if not words or not words[0]:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), text)
    return (match.start(), match.end()) if match else None


def numbers(text: str) -> set[str]:
    """The numbers in a text, with thousands separators and trailing zeros removed."""
    return {_plain(match[0]) for match in _NUMBER.finditer(text)}


def _plain(number: str) -> str:
    number = re.sub(r"[\u00a0\u202f]", "", number).strip(".,")
    number = re.sub(r",(?=\d{3}(?:\D|$))", "", number)
    if "." in number and "," not in number:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"
