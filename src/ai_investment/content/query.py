"""A question as retrieval sees it: its last turn, and the conversation before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from weakref import WeakKeyDictionary

import msgspec
from text_to_num import alpha2digit

from ai_investment.content.lexical import Lexical

_MOST_TERMS = 64
# What a term weighs that was hardly meant otherwise, and one of another name; a term that was said weighs 1.
_MEANT, _ALSO = 0.8, 0.4
# A longer question is cut for retrieval: what the model reads is shorter still.
LONGEST = 2000
# What earlier turns are remembered by.
_EARLIER = 4000


class Turn(msgspec.Struct, frozen=True):
    """What was said before; `mine` is the person's."""

    text: str
    mine: bool


class Question(msgspec.Struct, frozen=True):
    """`text` is the last turn; `earlier` are the turns before it, oldest first.

    `rewritten` is the last turn as a question that stands alone, when it does not.
    """

    text: str
    earlier: Sequence[Turn] = ()
    rewritten: str | None = None

    @property
    def alone(self) -> str:
        return (self.rewritten or self.text)[:LONGEST]

    @property
    def last(self) -> str:
        return self.text[:LONGEST]

    @property
    def asked(self) -> str:
        """All that the person asked, the newest at the end."""
        return _tail([*(turn.text for turn in self.earlier if turn.mine), self.last], _EARLIER)

    @property
    def before(self) -> str | None:
        """The person's turn before the last one."""
        return next((turn.text[:LONGEST] for turn in reversed(self.earlier) if turn.mine), None)


def _tail(texts: Sequence[str], most: int) -> str:
    return "\n".join(texts)[-most:]


def lexical_weights(question: Question, index: Lexical) -> dict[str, float]:
    """The terms to look for, at most so many: those of the last turn and of the person's turn before it.

    A number spelled out counts as its digits too, an abbreviation or another name as what it stands for,
    and a word that no passage has as the nearest one that a passage has.
    """
    text = question.last if question.before is None else f"{question.before} {question.last}"
    in_digits = alpha2digit(text, "en")
    said = index.terms(text)
    counted: dict[str, float] = {}
    for term in said:
        if index.knows(term):
            counted[term] = counted.get(term, 0.0) + 1.0
        elif known := index.nearest_known(term):
            counted.setdefault(known, _MEANT)
    for term in set(index.terms(in_digits)) - set(said):
        counted[term] = 1.0
    for term in _other_names(tuple(said), index):
        counted.setdefault(term, _ALSO)
    return dict(sorted(counted.items(), key=lambda item: -item[1])[:_MOST_TERMS])


def meanings(term: str, index: Lexical) -> set[str]:
    """The term, the one it may be a misspelling of, and other names of it that are one term too."""
    known = term if index.knows(term) else index.nearest_known(term) or term
    return {term, known, *(it for it in _other_names((known,), index, alone=True))}


def _other_names(said: tuple[str, ...], index: Lexical, *, alone: bool = False) -> Iterator[str]:
    """Terms of other names of what is said; `alone`: of names that are one term only."""
    run = f" {' '.join(said)} "
    for as_terms in _names_as_terms(index):
        if any(terms and f" {' '.join(terms)} " in run for terms in as_terms):
            yield from (
                term for terms in as_terms if not alone or len(terms) == 1 for term in terms
            )


def _names_as_terms(index: Lexical) -> list[list[list[str]]]:
    if index not in _known_names:
        _known_names[index] = [[index.terms(name) for name in names] for names in _names()]
    return _known_names[index]


# What is always the same of an index is asked of it once.
_known_names: WeakKeyDictionary[Lexical, list[list[list[str]]]] = WeakKeyDictionary()


@cache
def _names() -> list[list[str]]:
    lines = files("ai_investment.content").joinpath("names.txt").read_text("utf-8").splitlines()
    return [line.split(" | ") for line in lines if line and not line.startswith("#")]
