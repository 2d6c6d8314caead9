"""The gate's first part, in the API: before a message is stored, what must not be kept is taken out."""

from __future__ import annotations

import msgspec

from ai_investment.answers.safety.ages import YOUNGEST, stated_age
from ai_investment.answers.safety.redact import redact
from ai_investment.answers.safety.rules import lexicon
from ai_investment.answers.safety.wording import views

NOT_KEPT = "(not kept: written by somebody under 13)"


class Received(msgspec.Struct, frozen=True):
    """What may be stored: the text, and flags for the worker that answers."""

    text: str
    flags: list[str]


def receive(text: str, age: int | None = None) -> Received:
    """The message without personal data; without any of its words when its writer is under 13."""
    young = [known for known in (age, stated_age(text)) if known is not None and known < YOUNGEST]
    if young:
        language = lexicon("crisis").language(views(text))
        return Received(
            NOT_KEPT, ["under_age", f"crisis:{language}"] if language else ["under_age"]
        )
    redacted = redact(text)
    return Received(redacted.text, [f"personal_data:{kind}" for kind in redacted.kinds])
