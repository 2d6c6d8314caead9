"""Finding a quote in the passage it is said to stand in, or where it really stands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

from ai_investment.content.find import Passage
from ai_investment.content.sentences import sentences

_SPACE = re.compile(r"\s+")
# Typewriter and typeset forms of the same sign, and signs that are not seen.
_SAME_SIGN = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": "-",
     "−": "-", "‐": "-", "‑": "-", "…": "...", "\u00a0": " ", "\u202f": " ", "\u2009": " "}
)  # fmt: skip
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|…|\[…\]|\[\.\.\.\])\s*")
# Fewer words prove nothing: "interest" stands in every passage.
_LEAST_WORDS, _LEAST_LETTERS = 3, 12


class Found(msgspec.Struct, frozen=True):
    """A quote where it stands: `passage.text[start:end]`."""

    passage: Passage
    start: int
    end: int

    @property
    def sentences(self) -> str:
        """The whole sentences that the quote touches; of a table also its first row."""
        text = self.passage.text
        spans = [span for span in sentences(text) if span[0] < self.end and span[1] > self.start]
        start, end = (spans[0][0], spans[-1][1]) if spans else (self.start, self.end)
        touched = text[start:end]
        if " | " in touched:
            head = next((line for line in text.split("\n") if " | " in line), "")
            return f"{head}\n{touched}"
        return touched


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Where `quote` stands in `text`; runs of white space match each other, nothing else is forgiven."""
    words = _SPACE.split(quote.strip())
    if not words or not words[0]:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), text)
    return (match.start(), match.end()) if match else None


def relocate(quote: str, text: str) -> tuple[int, int] | None:
    """Where a quote stands that differs in quotation marks, dashes, ligatures or unseen signs.

    The passage's own words are what is shown. Letters and digits are never forgiven.
    """
    folded, places = _folded(text)
    wanted = _SPACE.sub(" ", _folded(quote)[0]).strip(" \"'")
    start = folded.find(wanted) if wanted else -1
    if start < 0:
        return None
    return places[start], places[start + len(wanted) - 1] + 1


def _folded(text: str) -> tuple[str, list[int]]:
    """A text with one form of each sign, and for each of its characters the place it comes from."""
    folded: list[str] = []
    places: list[int] = []
    for place, sign in enumerate(text):
        if unicodedata.category(sign) == "Cf":
            continue
        for part in unicodedata.normalize("NFKC", sign).translate(_SAME_SIGN):
            part = " " if part.isspace() else part
            if part == " " and folded and folded[-1] == " ":
                continue
            folded.append(part)
            places.append(place)
    return "".join(folded), places


def find_quote(quote: str, said_in: Passage | None, passages: Iterable[Passage]) -> Found | None:
    """The quote in the passage it is said to be from, else in the one that has it, else None."""
    if len(quote.split()) < _LEAST_WORDS and len(quote.strip()) < _LEAST_LETTERS:
        return None
    order = [said_in] if said_in else []
    order += [passage for passage in passages if passage is not said_in]
    for search in (locate, relocate):
        for passage in order:
            if span := search(quote, passage.text):
                return Found(passage, *span)
    return None
