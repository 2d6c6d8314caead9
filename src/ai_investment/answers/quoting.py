"""The answerer without a model: the best sentences of the sources, quoted and said to be quotations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence

import msgspec

from ai_investment.answers.models import Model, Quote, Statement, Usage
from ai_investment.content.find import Passage
from ai_investment.content.sentences import sentences
from ai_investment.content.vectors import Embedder

_BULLET = re.compile(r"(?:-|\d{1,3}\.)\s+")
_PASSAGES = 6
_SENTENCES = 5
_SHORTEST = 30
# A sentence is worth quoting when it is nearly as close to the question as the closest one.
_WITHIN = 0.22
# Two sentences this close say the same thing: the second is left out.
_SAME = 0.8
# The passage it stands in says what a sentence is about when its own words do not.
_PASSAGE_WEIGHT = 0.35


class _Candidate(msgspec.Struct):
    passage_rank: int
    start: int
    end: int
    text: str
    score: float = 0.0


class QuotingAnswerer:
    """Ranks sentences by meaning; quotes the closest in reading order, grouped by passage."""

    model = Model("extractive", "quotations", None)

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def compose(
        self, question: str, passages: Sequence[Passage]
    ) -> AsyncGenerator[Statement | Usage]:
        """One statement per passage that has something to quote; the text is the quotation."""
        chosen = await asyncio.to_thread(self._choose, question, passages[:_PASSAGES])
        for rank, passage in enumerate(passages[:_PASSAGES]):
            for start, end in _joined(
                [item for item in chosen if item.passage_rank == rank], passage.text
            ):
                quote = passage.text[start:end]
                yield Statement(quote, [Quote(passage.id, quote)], quoted=True)
        yield Usage(input_tokens=0, output_tokens=0, cost_usd="0")

    def _choose(self, question: str, passages: Sequence[Passage]) -> list[_Candidate]:
        candidates = [
            _Candidate(rank, start, end, passage.text[start:end])
            for rank, passage in enumerate(passages)
            for start, end in _without_bullets(passage.text)
            if end - start >= _SHORTEST and passage.text[end - 1] in '.!…”")'
        ]
        if not candidates:
            return []
        vectors = self._embedder.embed([question, *(item.text for item in candidates)])
        likeness = vectors @ vectors.T
        for number, item in enumerate(candidates, 1):
            item.score = (
                float(likeness[0, number]) + _PASSAGE_WEIGHT * passages[item.passage_rank].score
            )
        ranked = sorted(range(len(candidates)), key=lambda number: -candidates[number].score)
        least = candidates[ranked[0]].score - _WITHIN
        chosen: list[int] = []
        for number in ranked:
            fresh = all(likeness[number + 1, other + 1] < _SAME for other in chosen)
            if fresh and candidates[number].score >= least and len(chosen) < _SENTENCES:
                chosen.append(number)
        return [candidates[number] for number in chosen]


def _without_bullets(text: str) -> Iterator[tuple[int, int]]:
    for start, end in sentences(text):
        bullet = _BULLET.match(text, start, end)
        yield (bullet.end() if bullet else start), end


def _joined(chosen: list[_Candidate], text: str) -> list[tuple[int, int]]:
    """Spans in reading order; sentences that follow each other become one quotation."""
    spans: list[tuple[int, int]] = []
    for item in sorted(chosen, key=lambda item: item.start):
        if (
            spans
            and not text[spans[-1][1] : item.start].strip()
            and "\n" not in text[spans[-1][1] : item.start]
        ):
            spans[-1] = (spans[-1][0], item.end)
        else:
            spans.append((item.start, item.end))
    return spans
