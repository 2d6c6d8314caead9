"""An answer under the gate's verdict: fixed words first, then what the library says, if anything."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ai_investment.answers.answer import Explain, Find, answer_question
from ai_investment.answers.models import ANYBODY, Answer, Answerer, Model, Reader, Safety, Usage
from ai_investment.answers.page import Show
from ai_investment.answers.safety.verdicts import Verdict

# No model had a part in it.
_FIXED = Model("fixed", "reviewed words", None)
NO_EMERGENCY_SERVICE = "This is a computer program, not an emergency service."


async def answer_guarded(
    message_id: str,
    verdict: Verdict,
    *,
    find: Find,
    answerer: Answerer,
    show: Show,
    reader: Reader = ANYBODY,
    explain: Explain | None = None,
    spent: Sequence[Usage] = (),
) -> Answer:
    """The answer to a screened message; `spent` is what was paid for it before.

    A model and the library see `verdict.study`, never the message itself.
    """
    if verdict.reply:
        await show(verdict.reply)
    if verdict.study is None:
        return _fixed(message_id, verdict)
    answer = await answer_question(
        message_id,
        verdict.study,
        find=find,
        answerer=answerer,
        show=show,
        reader=reader,
        explain=explain,
        spent=spent,
    )
    safety = Safety(verdict.flags)
    if verdict.outcome == "answered":
        text = verdict.reply + answer.text
        reason = answer.reason or verdict.reason
        if reason == "no_source" and verdict.off_topic:
            reason = "off_topic"
        return msgspec.structs.replace(answer, text=text, reason=reason, safety=safety)
    found = answer.outcome == "answered"
    return msgspec.structs.replace(
        answer,
        outcome=verdict.outcome,
        reason=verdict.reason,
        text=f"{verdict.reply}\n\n{answer.text}" if found else verdict.reply,
        safety=safety,
    )


def _fixed(message_id: str, verdict: Verdict) -> Answer:
    answer = Answer(
        message_id=message_id,
        outcome=verdict.outcome,
        reason=verdict.reason,
        text=verdict.reply,
        citations=[],
        suggestions=[],
        safety=Safety(verdict.flags),
        model=_FIXED,
        usage=Usage(0, 0, "0"),
        timings_ms={},
    )
    if verdict.reason == "crisis":
        return msgspec.structs.replace(answer, disclaimer=NO_EMERGENCY_SERVICE)
    return answer
