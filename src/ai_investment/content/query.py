"""A question as retrieval sees it: its last turn, and the conversation before it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ai_investment.content.lexical import Lexical

_MOST_TERMS = 64
# A longer question is cut for retrieval: what the model reads is shorter still.
LONGEST = 2000
# What earlier turns are remembered by.
_EARLIER = 4000


class Turn(msgspec.Struct, frozen=True):
    """What was said before; `mine` is the person's."""

    text: str
    mine: bool


class Question(msgspec.Struct, frozen=True):
    """`text` is the last turn; `earlier` are the turns before it, oldest first."""

    text: str
    earlier: Sequence[Turn] = ()

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
    """The terms to look for: those of the last turn and of the person's turn before it, at most so many."""
    text = question.last if question.before is None else f"{question.before} {question.last}"
    counted: dict[str, float] = {}
    for term in index.terms(text):
        counted[term] = counted.get(term, 0.0) + 1.0
    return dict(sorted(counted.items(), key=lambda item: -item[1])[:_MOST_TERMS])
