"""What an answer is, and what an answerer gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

import msgspec

from ai_investment.content.find import Passage
from ai_investment.content.query import Turn

Outcome = Literal["answered", "abstained", "refused", "escalated"]
Reason = Literal[
    "personal_advice",
    "crisis",
    "injection",
    "personal_data",
    "no_source",
    "off_topic",
    "harmful",
    "under_age",
]
DISCLAIMER = "This is general education, not personal financial advice."


class Citation(msgspec.Struct, frozen=True):
    """`quote` is the passage's text from `start` to `end` (characters); `n` is its marker in the answer.

    `version` of the document has these words for ever; `quote_hash` (SHA-256 of the quote in UTF-8, in hex)
    proves that what is opened later is what was cited.
    """

    n: int
    passage_id: str
    document_id: str
    title: str
    url: str | None
    source: str
    published_at: datetime | None
    quote: str
    start: int
    end: int
    version: int
    quote_hash: str


class Suggestion(msgspec.Struct, frozen=True):
    kind: Literal["content", "calculator", "question"]
    title: str
    ref: str


class Model(msgspec.Struct, frozen=True):
    """Who composed the answer; `prompt_version` is null when no prompt was used."""

    provider: str
    name: str
    prompt_version: str | None


class Usage(msgspec.Struct, frozen=True):
    """Tokens and cost in US dollars; null: not known."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: str | None = None


def total(usages: Sequence[Usage]) -> Usage:
    """All of them together; unknown as soon as one of them is."""
    if not usages:
        return Usage()
    inputs, outputs = [it.input_tokens for it in usages], [it.output_tokens for it in usages]
    costs = [it.cost_usd for it in usages]
    return Usage(
        input_tokens=None if None in inputs else sum(filter(None, inputs)),
        output_tokens=None if None in outputs else sum(filter(None, outputs)),
        cost_usd=None if None in costs else str(sum(Decimal(it) for it in costs if it)),
    )


class Safety(msgspec.Struct, frozen=True):
    flags: list[str] = []


class Computed(msgspec.Struct, frozen=True):
    """A calculation that an answer rests on. `explanation`: its steps, one a line, or what it means in sentences."""

    name: str
    inputs: dict[str, Any]
    result: Any
    formula: str
    explanation: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A finished answer: the job's result and what is stored with the message."""

    message_id: str
    outcome: Outcome
    reason: Reason | None
    text: str
    """Markdown with markers [1]."""
    citations: list[Citation]
    calculations: list[Computed] = []
    suggestions: list[Suggestion]
    disclaimer: str = DISCLAIMER
    safety: Safety = Safety()
    degraded: list[str] = []
    model: Model
    usage: Usage
    timings_ms: dict[str, int]


class Quote(msgspec.Struct, frozen=True):
    """Words an answerer says stand in a passage; checked before anybody sees them."""

    passage_id: str
    text: str


class Statement(msgspec.Struct, frozen=True):
    """One or a few sentences and what they rest on. `quoted`: the text is the quotation itself."""

    text: str
    quotes: list[Quote]
    quoted: bool = False
    computed: bool = False
    """It tells what a calculator has computed, and may do so without a quote."""


class Switched(msgspec.Struct, frozen=True):
    """From here on somebody else composes, and why: `budget` or `ai_services`."""

    model: Model
    why: str


class Fault(msgspec.Struct, frozen=True):
    """A statement that may not be shown, and why, in words for whoever may mend it."""

    text: str
    why: str


class Rewriting(msgspec.Struct, frozen=True):
    """A follow-up as a model wrote it anew, not checked, and what that cost."""

    text: str
    usage: Usage


class Reader(msgspec.Struct, frozen=True):
    """For whom an answer is written; `id` names who pays for it from their daily budget."""

    id: str | None = None
    age: int | None = None


ANYBODY: Final = Reader()
Item = Statement | Computed | Switched | Usage


class Answerer(Protocol):
    """Composes statements from passages. Two are real: quoting, and writing with a model."""

    @property
    def model(self) -> Model: ...

    async def rewrite(
        self, question: str, earlier: Sequence[Turn], reader: Reader
    ) -> Rewriting | None:
        """A follow-up to these turns as a question that stands alone; None: rules have to do."""
        ...

    def compose(
        self, question: str, passages: Sequence[Passage], reader: Reader
    ) -> AsyncGenerator[Item]:
        """Statements in reading order as they are ready, what they compute from, and the usage.

        No statement means that the passages do not answer the question. Raises Problem (final),
        Later (the provider asks to wait) or any other error (worth a retry).
        """
        ...

    def repair(
        self, question: str, passages: Sequence[Passage], reader: Reader, faults: Sequence[Fault]
    ) -> AsyncGenerator[Item]:
        """As `compose`, once more for the statements that were not verified; they may be left out."""
        ...
