"""A follow-up as a question that stands alone: a model's where its words hold, else by rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from ai_investment.answers.calculate import recognise
from ai_investment.answers.models import Answerer, Reader, Usage
from ai_investment.answers.quantities import Quantity, quantities, vouches
from ai_investment.answers.rewrite import standalone
from ai_investment.answers.safety.gate import Gate
from ai_investment.answers.safety.verdicts import Person
from ai_investment.answers.words import content_stems
from ai_investment.content.query import Question, Turn

log = logging.getLogger(__name__)

_LONGEST = 300
# Words of a follow-up that name nothing themselves: a rewriting says what they stand for.
_POINTING = frozenset(
    content_stems(
        "second third fourth last latter former two three both same again bit detail "
        "ok okay thanks thank hi hello"
    )
)


class Alone(msgspec.Struct, frozen=True):
    """A question that stands alone, as it is answered and as it is searched for.

    `usage` is what asking a model cost; None: none was asked, or it gave nothing.
    """

    text: str
    asked: Question
    usage: Usage | None = None


async def in_full(
    question: str, earlier: Sequence[Turn], reader: Reader, *, answerer: Answerer, gate: Gate
) -> Alone:
    """The question with what it leaves to the turns before it; without them it stays as it is.

    What a model writes is used when it brings nothing into the conversation and when the gate, which
    saw only the follow-up, would answer it too: two harmless turns can be joined into a request for
    advice. The gate looks at it without the turns, as it is to stand alone.
    A question that is long, or a sum with all its numbers, is not worth a request.
    """
    # What rules make of a follow-up finds less than its own words and the turn before it together.
    ruled = standalone(question, earlier)
    by_rules = Alone(ruled, Question(question, earlier, rewritten=ruled))
    if not earlier or len(question) > _LONGEST or recognise(question):
        return by_rules
    rewriting = await answerer.rewrite(question, earlier, reader)
    if rewriting is None:
        return by_rules
    text = rewriting.text.strip()
    fault = _fault(text, question, earlier)
    if fault is None and not await asyncio.to_thread(_passes, text, reader, gate):
        fault = "gate"
    if fault:
        log.info("a rewriting of a follow-up is not used", extra={"why": fault})
        return msgspec.structs.replace(by_rules, usage=rewriting.usage)
    return Alone(text, Question(text, earlier, rewritten=text), rewriting.usage)


def _fault(text: str, question: str, earlier: Sequence[Turn]) -> str | None:
    """Why a rewriting is not one of this question in this conversation."""
    if not text or len(text) > _LONGEST or not text.isprintable():
        return "form"
    if text.casefold() == question.strip().casefold():
        return "unchanged"  # the rules may do more, and leave it as it is where it stands alone
    said, own = set(content_stems(text)), set(content_stems(question))
    known = own.union(*(content_stems(turn.text) for turn in earlier))
    if not said or not said <= known:
        return "words"
    named = own - _POINTING
    if named and named.isdisjoint(said):
        return "subject"
    # A number of the question may stand in an answer without a source: the person must have said it.
    persons = [question, *(turn.text for turn in earlier if turn.mine)]
    given = [number for words in persons for number in quantities(words)]
    numbers = quantities(text)
    kept = _vouched(quantities(question), numbers)
    return None if kept and _vouched(numbers, given) else "numbers"


def _vouched(numbers: Sequence[Quantity], sources: Sequence[Quantity]) -> bool:
    return all(any(vouches(source, number) for source in sources) for number in numbers)


def _passes(text: str, reader: Reader, gate: Gate) -> bool:
    verdict = gate.screen(text, person=Person(reader.age))
    return verdict.outcome == "answered" and verdict.study == text
