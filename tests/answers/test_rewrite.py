"""Follow-ups become questions that stand alone; questions that stand alone stay as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.answers.rewrite import standalone
from ai_investment.content.query import Turn


def after(*asked: str) -> list[Turn]:
    turns = []
    for text in asked:
        turns += [Turn(text, mine=True), Turn("An answer about something.", mine=False)]
    return turns


@pytest.mark.parametrize(
    ("before", "question", "alone"),
    [
        ("What are index funds?", "What do they cost?", "What do index funds cost?"),
        ("What is an ETF?", "can I lose money with it?", "can I lose money with ETF?"),
        ("What is an ETF?", "Why do their prices change?", "Why do ETF's prices change?"),
        ("What is an ETF?", "what are the main risks?", "what are the main risks (ETF)?"),
        ("What is an ETF?", "why?", "why (ETF)?"),
        ("What is an ETF?", "what about bonds?", "What is bonds?"),
        ("what happens to shares in a recession", "and bonds?", "what happens to bonds in a recession"),
        ("Is Bitcoin a scam?", "how does it work", "how does Bitcoin work"),
        ("who sets interest rates", "how often do they change?", "how often do interest rates change?"),
    ],
)  # fmt: skip
def test_the_subject_is_carried_over(before: str, question: str, alone: str) -> None:
    assert standalone(question, after(before)) == alone


@pytest.mark.parametrize(
    "question",
    [
        "What is a bond?",
        "How do index funds work?",
        "Is it possible to lose everything in crypto?",
        "Tell me about dividends",
        "thanks for explaining inflation",
    ],
)
def test_a_question_that_names_its_subject_stays_as_it_is(question: str) -> None:
    assert standalone(question, after("What is an ETF?")) == question


def test_without_a_conversation_nothing_is_carried_over() -> None:
    assert standalone("What does it cost?", []) == "What does it cost?"


def test_the_subject_is_that_of_the_last_question_that_had_one() -> None:
    turns = after("What is inflation?", "How do index funds work?", "and what do they cost?")
    assert standalone("are they risky?", turns) == "are index funds risky?"


@given(st.lists(st.text(max_size=200), max_size=4), st.text(max_size=300))
def test_any_conversation_gives_a_question_that_is_not_much_longer(
    before: list[str], question: str
) -> None:
    alone = standalone(question, after(*before))
    assert len(alone) <= 2 * len(question) + max((len(text) for text in before), default=0) + 20
