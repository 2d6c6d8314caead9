"""From a question to an answer: retrieve, compose, verify, render."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from ai_investment.answers.calculate import idea_of, recognise
from ai_investment.answers.models import (
    ANYBODY,
    Answer,
    Answerer,
    Computed,
    Fault,
    Item,
    Reader,
    Statement,
    Suggestion,
    Switched,
    Usage,
    total,
)
from ai_investment.answers.next_step import what_next
from ai_investment.answers.page import Page, Show
from ai_investment.answers.quotes import Found as Quoted
from ai_investment.answers.safety.statements import unsafe
from ai_investment.answers.verify import Evidence
from ai_investment.calculators.registry import named
from ai_investment.content.find import Found, Passage

Explain = Callable[[str, str, int], Awaitable[list[Quoted]]]
Find = Callable[[str], Awaitable[Found]]

_NOTHING = (
    "I could not find an answer to this in the library, so I will not guess. "
    "Try asking about one thing at a time, or in other words."
)


async def answer_question(
    message_id: str,
    question: str,
    *,
    find: Find,
    answerer: Answerer,
    show: Show,
    reader: Reader = ANYBODY,
    explain: Explain | None = None,
    spent: Sequence[Usage] = (),
) -> Answer:
    """The answer to one question. `show` receives each verified piece of the text as it is ready.

    `explain` gives quotable meanings of words that the text uses; `spent` is what was paid before.
    """
    clock = _Clock()
    computed = recognise(question)
    studied = idea_of(computed) if computed else question
    found = await find(studied)
    passages = found.passages
    clock.lap("retrieval")
    writing = _Writing(question, passages, answerer, show)
    writing.usages += spent
    if computed:
        await writing.calculate(computed)
    if found.answers:
        await writing.take(answerer.compose(studied, passages, reader))
        if writing.faults and not writing.degraded:
            await writing.take(answerer.repair(studied, passages, reader, writing.faults))
    clock.lap("composition")
    page = writing.page
    if page.text and explain:
        for meaning in await explain(page.text, question, _terms_for(reader)):
            await page.explain(meaning)
    suggestions = what_next(question, passages, page.citations) if page.text else []
    if computed:
        suggestions = [_calculator(computed), *suggestions[:2]]
    if suggestions:
        await page.end(suggestions[0])
    return Answer(
        message_id=message_id,
        outcome="answered" if page.text else "abstained",
        reason=None if page.text else "no_source",
        text=page.text or _NOTHING,
        citations=page.citations,
        calculations=writing.computed if page.text else [],
        suggestions=suggestions,
        degraded=[*found.degraded, *writing.degraded],
        model=writing.model,
        usage=total(writing.usages),
        timings_ms=clock.laps,
    )


def _calculator(computed: Computed) -> Suggestion:
    """The next step after a sum: the same with other numbers."""
    return Suggestion("calculator", named(computed.name).title, computed.name)


def _terms_for(reader: Reader) -> int:
    """How many words are explained at most."""
    return 2 if reader.age is not None and reader.age < 16 else 1


class _Writing:
    """What an answerer has given so far: shown where it is verified, kept as a fault where it is not."""

    def __init__(
        self, question: str, passages: list[Passage], answerer: Answerer, show: Show
    ) -> None:
        self.page = Page(show)
        self.faults: list[Fault] = []
        self.computed: list[Computed] = []
        self.usages: list[Usage] = []
        self.model = answerer.model
        self.degraded: list[str] = []
        self._evidence = Evidence(passages, question)

    async def take(self, items: AsyncGenerator[Item]) -> None:
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Statement):
                    await self._add(item)
                elif isinstance(item, Computed):
                    self.computed.append(item)
                    self._evidence.add_computed(item)
                elif isinstance(item, Switched):
                    self.model = item.model
                    self.degraded.append(item.why)
                else:
                    self.usages.append(item)

    async def calculate(self, computed: Computed) -> None:
        """Lead with what code has computed; its numbers may be spoken of from then on."""
        self.computed.append(computed)
        self._evidence.add_computed(computed)
        await self.page.calculate(computed.explanation)

    async def _add(self, statement: Statement) -> None:
        verdict = self._evidence.verify(statement)
        if isinstance(verdict, Fault):
            self.faults.append(verdict)
        elif why := unsafe(verdict.text):
            self.faults.append(Fault(verdict.text, f"the safety gate keeps it back: {why}"))
        else:
            await self.page.add(verdict)


class _Clock:
    """Milliseconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, int] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = round((now - self._last) * 1000)
        self._last = now
