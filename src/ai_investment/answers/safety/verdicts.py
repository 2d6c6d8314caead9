"""What the gate is told about a person and a conversation, and what it decides."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ai_investment.answers.models import Outcome, Reason


class Person(msgspec.Struct, frozen=True):
    """What is known: age in years, country (ISO 3166 alpha-2)."""

    age: int | None = None
    country: str | None = None


class Exchange(msgspec.Struct, frozen=True):
    """An earlier message of the conversation and what came of it; null outcome: not known."""

    question: str
    outcome: Outcome | None = None
    reason: Reason | None = None
    asked_at: datetime | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a message."""

    outcome: Outcome = "answered"
    """`answered`: nothing stands in the way of an answer."""
    reason: Reason | None = None
    flags: list[str] = []
    text: str
    """The message without personal data: what may be stored, searched with and sent to a model."""
    reply: str = ""
    """Fixed words that come first."""
    study: str | None = None
    """What to answer from the library: the message, a question of ours in its place, or nothing."""
    off_topic: bool = False
    """Most likely not about money: weak finds are no answer."""
