from __future__ import annotations

from typing import Any

import pytest

from ai_investment.answers.glossary import Entry, Glossary, entries
from ai_investment.content.find import Passage
from ai_investment.db import Database

TEXT = (
    "Words about markets\n"
    "- Spread: the gap between two prices.\n"
    "- Net asset value: what a fund owns minus what it owes.\n"
    "- Volatility: how much a price swings.\n"
    "- Not a meaning"
)
PASSAGE = Passage("pas_1", "doc_g", "Glossary", None, "library", None, None, TEXT, 0.0)


class Known(Glossary):
    """The glossary of these tests, without a database."""

    async def _current(self) -> list[Entry]:
        return entries(PASSAGE)


@pytest.mark.parametrize(
    ("text", "question", "most", "expected"),
    [
        ("The spreads are wide.", "What does trading cost?", 2, ["Spread"]),
        ("Volatility rises and the net asset value falls.", "?", 2, ["Volatility", "Net asset value"]),
        ("Volatility rises and the net asset value falls.", "?", 1, ["Volatility"]),
        ("The spread is wide.", "What is a spread?", 2, []),
        ("The spread is the gap between the two prices.", "?", 2, []),
        ("The gap is called the spread.", "?", 2, []),
        ("The net value of an asset.", "?", 2, []),
        ("Nothing of the kind.", "?", 2, []),
    ],
)  # fmt: skip
async def test_words_that_a_text_uses_and_does_not_explain_are_explained_in_its_order(
    text: str, question: str, most: int, expected: list[str], database_url: str
) -> None:
    glossary = Known(Database(database_url))
    found = await glossary.explain(text, question, most)
    lines: list[Any] = [item.passage.text[item.start : item.end] for item in found]
    assert [line.split(":")[0] for line in lines] == expected
    assert all(line in TEXT and line.endswith(".") for line in lines)
