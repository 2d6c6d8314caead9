"""The path of every answer, from the gate's verdict on: for a stored message and for an evaluation alike."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from ai_investment.answers.models import Answer, Answerer, Reader
from ai_investment.answers.safety.gate import Gate, without_placeholders
from ai_investment.answers.safety.verdicts import Verdict
from ai_investment.content.dense import Dense
from ai_investment.content.find import Found, find_passages
from ai_investment.content.lexical import Follower
from ai_investment.content.neighbours import with_neighbours
from ai_investment.content.query import Question, Turn
from ai_investment.content.ranking import Filters
from ai_investment.db import Database

if TYPE_CHECKING:  # it reads sentences, and the API does not
    from ai_investment.answers.glossary import Glossary


class Answering(Protocol):
    """What answering needs, as the answers worker provides it."""

    dense: Dense
    lexical: Follower
    answerer: Answerer
    gate: Gate
    glossary: Glossary


async def respond(
    message_id: str,
    verdict: Verdict,
    earlier: Sequence[Turn],
    reader: Reader,
    *,
    database: Database,
    use: Answering,
    show: Callable[[str], Awaitable[None]],
    searched: Callable[[], Awaitable[None]] | None = None,
) -> Answer:
    """The answer to a screened message after the turns before it; `searched` is told when passages are found."""
    # Here, because the API imports this module too and composes nothing.
    from ai_investment.answers.follow_up import in_full
    from ai_investment.answers.guarded import answer_guarded

    said = verdict.study or ""
    own_words = said in (verdict.text, without_placeholders(verdict.text))
    if verdict.outcome != "answered" or not own_words:
        earlier = ()  # a question of the gate's own, in the place of the message, stands alone
    started = time.monotonic()
    alone = await in_full(said, earlier, reader, answerer=use.answerer, gate=use.gate)
    took = {"rewriting": round((time.monotonic() - started) * 1000)} if earlier else {}
    if said:
        verdict = msgspec.structs.replace(verdict, study=alone.text)

    async def find(text: str) -> Found:
        asked = alone.asked if text == alone.text else Question(text)
        found = await find_passages(
            database, use.dense, use.lexical, asked, filters=Filters(age=reader.age)
        )
        if searched:
            await searched()
        passages = await with_neighbours(database, found.passages)
        return msgspec.structs.replace(found, passages=passages)

    answer = await answer_guarded(
        message_id,
        verdict,
        find=find,
        answerer=use.answerer,
        show=show,
        reader=reader,
        explain=use.glossary.explain,
        spent=[alone.usage] if alone.usage else [],
    )
    return msgspec.structs.replace(answer, timings_ms={**took, **answer.timings_ms})
