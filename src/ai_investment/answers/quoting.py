"""The answerer without a model: the best of the sources, quoted and said to be quotations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from ai_investment.answers.asking import Asked, asked, unknown_subject
from ai_investment.answers.choosing import Candidate, Window, candidates, rate, window
from ai_investment.answers.models import (
    ANYBODY,
    Fault,
    Item,
    Model,
    Quote,
    Reader,
    Statement,
    Usage,
)
from ai_investment.content.find import Passage
from ai_investment.content.query import Turn
from ai_investment.content.vectors import Embedder

_SENTENCES, _SOURCES = 5, 3
# A second block is quoted when it is nearly as good as the best one and does not say the same.
_WITHIN, _WITHIN_FEW, _SAME = 0.2, 0.4, 0.8
_FEW, _REPEATED = 3, 0.7


class QuotingAnswerer:
    """Ranks paragraphs, lists and tables; quotes the best, each from a place where it can begin."""

    model = Model("extractive", "quotations", None)

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def rewrite(
        self, question: str, earlier: Sequence[Turn], reader: Reader = ANYBODY
    ) -> None:
        """None: without a model there are the rules."""

    async def compose(
        self, question: str, passages: Sequence[Passage], reader: Reader = ANYBODY
    ) -> AsyncGenerator[Item]:
        """One statement per quotation, the best first; its text is the quotation itself."""
        for statement in await asyncio.to_thread(self._quotations, question, passages):
            yield statement
        yield Usage(input_tokens=0, output_tokens=0, cost_usd="0")

    async def repair(
        self, question: str, passages: Sequence[Passage], reader: Reader, faults: Sequence[Fault]
    ) -> AsyncGenerator[Item]:
        """Nothing: a quotation that does not stand in its source has no better form."""
        return
        yield

    def _quotations(self, question: str, passages: Sequence[Passage]) -> list[Statement]:
        if unknown_subject(question, passages):
            return []
        parts = asked(question)
        chosen: list[Candidate] = []
        statements: list[Statement] = []
        for part in parts:
            most = _SENTENCES if len(parts) == 1 else 3
            for item, quoted in self._choose(part, question, passages, chosen, most):
                chosen.append(item)
                quotes = [Quote(source.id, source.text[a:b]) for source, (a, b) in quoted.spans]
                text = "\n".join(quote.text for quote in quotes)
                statements.append(Statement(text, quotes, quoted=True))
        return statements

    def _choose(
        self,
        question: Asked,
        whole: str,
        passages: Sequence[Passage],
        before: Sequence[Candidate],
        most: int,
    ) -> list[tuple[Candidate, Window]]:
        """The best block and what adds to it, without what was chosen for a question before."""
        taken = {(item.block.passage.id, item.block.start) for item in before}
        found = [
            item
            for item in candidates(question, passages)
            if (item.block.passage.id, item.block.start) not in taken
        ]
        if not found:
            return []
        likeness = rate(question, whole, found, self._embedder)
        chosen: dict[int, Window] = {}
        said = 0
        for number, item in enumerate(found):
            within = _WITHIN if said >= _FEW else _WITHIN_FEW
            if item.score < found[0].score - within or said >= most or len(chosen) >= _SOURCES:
                break
            new = all(
                likeness[number, other] < _SAME and not _repeats(item, found[other])
                for other in chosen
            )
            if new:
                chosen[number] = window(item, question, most - said)
                said += min(chosen[number].size, _FEW)
        return [(found[number], quoted) for number, quoted in chosen.items()]


def _repeats(item: Candidate, chosen: Candidate) -> bool:
    """Whether it defines the same once more, or says little that was not said."""
    defines_too = item.defines is not None and chosen.defines is not None
    return defines_too or len(item.stems & chosen.stems) > _REPEATED * len(item.stems)
