"""What a question asks: its parts, its subject, and the kind of answer that suits it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from ai_investment.answers.words import all_stems, content_stems
from ai_investment.content.find import Passage

Kind = Literal["comparison", "reasons", "steps", "definition", "other"]

_KINDS: list[tuple[Kind, re.Pattern[str]]] = [
    ("comparison", re.compile(r"\b(?:differen(?:ce|t)|versus|vs|compared?|better|safer|than)\b", re.I)),
    ("other", re.compile(r"\bwhy\b.*\b(?:matter|important|care|bother)\b", re.I)),
    ("reasons", re.compile(r"\bwhy\b|\bhow come\b|\bwhat (?:causes?|moves?|makes?)\b|\breasons?\b"
        r"|\b(?:good|useful|used) for\b|\bthe point of\b|\b(?:benefits?|advantages?|pros)\b", re.I)),
    ("steps", re.compile(
        r"\bhow (?:do|can|could|should|would) (?:i|you|we|one|people|someone|a beginner|beginners)\b|\bhow to\b"
        r"|\bwhat (?:should|can|do|must) (?:i|we|you|people)\b|\bwatch out\b"
        r"|\b(?:steps|ways|tips|signs|risks|dangers|mistakes|kinds|types|rules|examples)\b", re.I)),
    ("definition", re.compile(
        r"\bwhat(?:['’]?s| is| are| does| do)\b|\bwhats\b|\bdefin|\bmean(?:s|ing)?\b|\bexplain\b|\btell me about\b",
        re.I)),
]  # fmt: skip
_AND = re.compile(
    r"[,;?.]?\s+(?:and|&|also)\s+(?=(?:how|what|why|when|who|which|where|is|are|do|does|can)\b)"
    r"|\?\s+(?=\S)",
    re.I,
)
_FIGURES = re.compile(r"\bexamples?\b|\bhow much\b|\bcalculat|\bnumbers?\b|\d", re.I)
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|this|that|these|those|one)\b", re.I)
_MOST_PARTS = 3
_NAMED = re.compile(r"(?<=[\w,] )(?P<name>[A-Z][\w&.-]+)")
_FACT = re.compile(
    r"\b(?:was|were|did|price|worth|ceo|founder|revenues?|profits?|earnings|sales|dividends?|market cap|closing)\b",
    re.I,
)
# Askers and writers name the same thing differently.
_ALIKE = [
    ("spot recognise recognize identify detect notice avoid fake", "warning sign watch scam"),
    ("start begin beginner", "begin beginner step open"),
    ("safe danger dangerous lose", "risk loss lose safe protect"),
    ("stock stocks equity", "share stock"),
    ("share shares", "stock share"),
    ("earn profit", "gain return income"),
    ("cheap expensive cost costs price", "cost fee charge"),
    ("teen teenager kid child minor young", "teenager young age 18"),
]
_ALSO = {stem: set(content_stems(then)) for words, then in _ALIKE for stem in content_stems(words)}


class Asked(msgspec.Struct, frozen=True):
    """One question. `stems` is what it is about, without the words of asking."""

    text: str
    stems: list[str]
    also: list[str]
    """Other words for the same."""
    kind: Kind
    wants_figures: bool


def asked(question: str) -> list[Asked]:
    """The questions in a message, in order; what a part leaves out ("how does it work?") the whole says."""
    parts = [part for part in _AND.split(question) if part.strip()]
    if len(parts) < 2:
        parts = [question]
    first = _asked(parts[0], "")
    return [first, *(_asked(part, parts[0]) for part in parts[1:_MOST_PARTS])]


def _asked(text: str, before: str) -> Asked:
    stems = content_stems(text)
    if before and (_PRONOUN.search(text) or not stems):
        stems = content_stems(before) + stems
    stems = list(dict.fromkeys(stems or all_stems(text)))
    also = sorted(set().union(*(_ALSO.get(stem, set()) for stem in stems)) - set(stems))
    return Asked(text, stems, also, kind_of(text), bool(_FIGURES.search(text)))


def kind_of(question: str) -> Kind:
    """What kind of answer suits a question; of a heading, what kind stands under it."""
    return next((kind for kind, form in _KINDS if form.search(question)), "other")


def unknown_subject(question: str, passages: Sequence[Passage]) -> bool:
    """Whether a fact is asked of somebody or something by a name that no passage has."""
    if not _FACT.search(question):
        return False
    known = set(
        all_stems("\n".join(f"{item.title} {item.heading} {item.text}" for item in passages))
    )
    names = (match["name"] for match in _NAMED.finditer(question))
    return any(not set(all_stems(name)) <= known for name in names)
