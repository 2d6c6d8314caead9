"""From a question to an answer: retrieve, compose, verify, render."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from ai_investment.answers.models import Answer, Answerer, Citation, Suggestion, Usage
from ai_investment.answers.next_step import what_next
from ai_investment.answers.rendering import quotation
from ai_investment.answers.verify import Found, Verified, verify
from ai_investment.content.find import Passage

Find = Callable[[str], Awaitable[list[Passage]]]
Show = Callable[[str], Awaitable[None]]

# Below this cosine the nearest passage is about something else: abstain rather than guess.
FLOOR = 0.42
_QUOTING_INTRO = "The sources say, in their own words:\n\n"
_NEXT = {
    "content": "Read next:",
    "calculator": "Try it yourself:",
    "question": "You could ask next:",
}
_NOTHING = (
    "I could not find an answer to this in the library, so I will not guess. "
    "Try asking about one thing at a time, or in other words."
)


async def answer_question(
    message_id: str, question: str, *, find: Find, answerer: Answerer, show: Show
) -> Answer:
    """The answer to one question. `show` receives each verified piece of the text as it is ready."""
    clock = _Clock()
    passages = await find(question)
    clock.lap("retrieval")
    page = _Page(show)
    usage = Usage()
    if passages and passages[0].score >= FLOOR:
        async with aclosing(answerer.compose(question, passages)) as items:
            async for item in items:
                if isinstance(item, Usage):
                    usage = item
                elif verified := verify(item, passages, question):
                    await page.add(verified)
    clock.lap("composition")
    answered = bool(page.citations)
    suggestions = what_next(question, passages, page.citations) if answered else []
    if suggestions:
        await page.end(suggestions[0])
    return Answer(
        message_id=message_id,
        outcome="answered" if answered else "abstained",
        reason=None if answered else "no_source",
        text=page.text if answered else _NOTHING,
        citations=page.citations,
        suggestions=suggestions,
        model=answerer.model,
        usage=usage,
        timings_ms=clock.laps,
    )


class _Page:
    """The text as it grows: each statement with its markers, each quote numbered once."""

    def __init__(self, show: Show) -> None:
        self.text = ""
        self.citations: list[Citation] = []
        self._show = show

    async def add(self, verified: Verified) -> None:
        markers = "".join(
            f"[{n}]" for n in dict.fromkeys(self._number(item) for item in verified.found)
        )
        if verified.quoted:
            piece = ("" if self.text else _QUOTING_INTRO) + quotation(verified, markers)
        else:
            piece = f"{' '.join(verified.text.split())} {markers}\n\n"
        self.text += piece
        await self._show(piece)

    async def end(self, step: Suggestion) -> None:
        """One useful next step."""
        piece = f"**{_NEXT[step.kind]}** {step.title}\n"
        self.text += piece
        await self._show(piece)

    def _number(self, found: Found) -> int:
        passage, quote = found.passage, found.passage.text[found.start : found.end]
        for known in self.citations:
            if (known.passage_id, known.start, known.end) == (passage.id, found.start, found.end):
                return known.n
        self.citations.append(
            Citation(
                n=len(self.citations) + 1,
                passage_id=passage.id,
                document_id=passage.document_id,
                title=passage.title,
                url=passage.url,
                source=passage.source,
                published_at=passage.published_at,
                quote=quote,
                start=found.start,
                end=found.end,
            )
        )
        return len(self.citations)


class _Clock:
    """Milliseconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, int] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = round((now - self._last) * 1000)
        self._last = now
