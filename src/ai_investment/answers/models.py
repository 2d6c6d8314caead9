"""What an answer is, and what an answerer gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from ai_investment.content.find import Passage

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
    """`quote` is the passage's text from `start` to `end` (characters); `n` is its marker in the answer."""

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
    """Tokens and cost; null: not known."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: str | None = None


class Safety(msgspec.Struct, frozen=True):
    flags: list[str] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A finished answer: the job's result and what is stored with the message."""

    message_id: str
    outcome: Outcome
    reason: Reason | None
    text: str
    """Markdown with markers [1]."""
    citations: list[Citation]
    calculations: list[dict[str, Any]] = []
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


class Answerer(Protocol):
    """Composes statements from passages. Two are real: quoting, and writing with a model."""

    @property
    def model(self) -> Model: ...

    def compose(
        self, question: str, passages: Sequence[Passage]
    ) -> AsyncGenerator[Statement | Usage]:
        """Statements in reading order as they are ready, and the usage when it is known.

        No statement means that the passages do not answer the question. Raises Problem (final),
        Later (the provider asks to wait) or any other error (worth a retry).
        """
        ...
