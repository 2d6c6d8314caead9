"""The text of an answer as it grows, and the citations that it numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from ai_investment.answers.models import Citation, Suggestion
from ai_investment.answers.quotes import Found
from ai_investment.answers.rendering import quotation
from ai_investment.answers.verify import Verified

Show = Callable[[str], Awaitable[None]]

_QUOTING_INTRO = "The sources say, in their own words:\n\n"
_NEXT = {
    "content": "Read next:",
    "calculator": "Try the calculator:",
    "question": "You could ask next:",
}
_CALCULATED = "(calculated)"


class Page:
    """Each statement with its markers, each quote numbered once; `show` gets every piece as it is added."""

    def __init__(self, show: Show) -> None:
        self.text = ""
        self.citations: list[Citation] = []
        self._show = show
        self._introduced = False

    async def add(self, verified: Verified) -> None:
        numbers = dict.fromkeys(self._number(item) for item in verified.found)
        markers = "".join(f"[{number}]" for number in numbers) or _CALCULATED
        if verified.quoted:
            piece = ("" if self._introduced else _QUOTING_INTRO) + quotation(verified, markers)
        else:
            piece = _marked(verified.text, markers)
        # Said once, before the first words that are not ours.
        self._introduced = True
        await self._append(piece)

    async def calculate(self, explanation: str) -> None:
        """What code computed, in sentences of ours."""
        await self._append(_marked(explanation, _CALCULATED))

    async def explain(self, found: Found) -> None:
        """A word of the text with its meaning: "Term: meaning." of the glossary."""
        line = " ".join(found.passage.text[found.start : found.end].split())
        await self._append(f"> “{line}” [{self._number(found)}]\n\n")

    async def end(self, step: Suggestion) -> None:
        """One useful next step."""
        await self._append(f"**{_NEXT[step.kind]}** {step.title}\n")

    async def _append(self, piece: str) -> None:
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
                version=passage.version,
                quote_hash=hashlib.sha256(quote.encode()).hexdigest(),
            )
        )
        return len(self.citations)


def _marked(text: str, markers: str) -> str:
    """A statement with its markers before the full stop."""
    if text.endswith((".", "!", "?")):
        return f"{text[:-1]} {markers}{text[-1]}\n\n"
    return f"{text} {markers}\n\n"
