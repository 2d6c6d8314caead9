"""What is looked for: numbers as digits, other names, the nearest known word; and when it is enough to answer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content.answerable import ENOUGH, Signals, chance, signals
from ai_investment.content.query import Question, Turn, lexical_weights
from ai_investment.content.ranking import Ranking
from ai_investment.content.revisions import Change, LivePassage

PASSAGES = {
    "etf": "An exchange traded fund holds many shares. Its total expense ratio is its yearly fee.",
    "72": "The rule of 72: divide 72 by the rate, and you have the years in which money doubles.",
    "div": "A dividend is money that a company pays to its shareholders.",
    "vol": "Volatility says how much a price swings.",
}


@pytest.fixture(scope="module")
def index() -> TantivyIndex:
    made = TantivyIndex()
    made.apply([Change(1, key, "", [LivePassage(key, text)]) for key, text in PASSAGES.items()])
    return made


def best(index: TantivyIndex, text: str, *earlier: str) -> str:
    question = Question(text, [Turn(it, mine=True) for it in earlier])
    return index.search(lexical_weights(question, index), 1)[0].passage_id


@pytest.mark.parametrize(
    ("text", "passage"),
    [
        ("whats an ETF", "etf"),
        ("what is the TER", "etf"),
        ("rule of seventy two", "72"),
        ("what are divedends", "div"),
        ("big price swings", "vol"),
        ("which stockholders are paid", "div"),
    ],
)
def test_what_people_type_finds_the_passage_that_says_it_otherwise(
    index: TantivyIndex, text: str, passage: str
) -> None:
    assert best(index, text) == passage


def test_a_short_follow_up_looks_for_what_was_asked_before_too(index: TantivyIndex) -> None:
    assert best(index, "and how often?", "Who pays a dividend?") == "div"


def test_what_was_said_weighs_more_than_its_other_names(index: TantivyIndex) -> None:
    weights = lexical_weights(Question("what is an etf"), index)
    assert weights["fund"] < 1.0
    assert "etf" not in weights or weights["etf"] >= weights["fund"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=3000))
def test_any_text_is_at_most_so_many_terms(index: TantivyIndex, text: str) -> None:
    weights = lexical_weights(Question(text), index)
    assert len(weights) <= 64
    assert all(weight > 0 for weight in weights.values())


def test_more_of_every_sign_makes_an_answer_likelier() -> None:
    middling = Signals(nearest=0.5, around=0.2, covered=0.5, matched=0.4)
    for better in (
        Signals(0.7, 0.2, 0.5, 0.4),
        Signals(0.5, 0.1, 0.5, 0.4),
        Signals(0.5, 0.2, 0.9, 0.4),
        Signals(0.5, 0.2, 0.5, 0.8),
    ):
        assert chance(better, by_meaning=True) > chance(middling, by_meaning=True)


def test_nothing_found_is_not_answered(index: TantivyIndex) -> None:
    seen = signals(Question("What is a quokka?"), Ranking([]), [], index)
    assert chance(seen, by_meaning=True) < ENOUGH
    assert chance(seen, by_meaning=False) < ENOUGH
