"""Questions that are plainly calculations, and those that are not."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_investment.answers.calculate import recognise
from ai_investment.answers.models import Computed

ASKED: list[tuple[str, str, dict[str, Any], str]] = [
    ("How long until I have 2000 if I save 50 a month?", "savings_goal",
     {"goal": 2000, "annual_rate": 0, "periods_per_year": 12, "deposit_per_period": 50}, "after 40 months. That is without interest"),
    ("how many weeks to save $305 with 20 dollars a week pocket money", "savings_goal",
     {"goal": 305, "annual_rate": 0, "periods_per_year": 52, "deposit_per_period": 20}, "$305 after 16 weeks"),
    ("How much do I need to save each month to have 2000 in 2 years?", "savings_goal",
     {"goal": 2000, "annual_rate": 0, "years": 2}, "takes 83.33 every month"),
    ("100 a month at 5% for 10 years?", "compound_interest",
     {"principal": 0, "annual_rate": 0.05, "years": 10, "periods_per_year": 12, "deposit_per_period": 100}, "15,528.23"),
    ("if I invest $1,000 at 7% for 30 years", "compound_interest",
     {"principal": 1000, "annual_rate": 0.07, "years": 30, "periods_per_year": 1}, "$7,612.26"),
    ("$10,000 lump sum plus $250 monthly at 7% annual return for 25 years", "compound_interest",
     {"principal": 10000, "deposit_per_period": 250, "annual_rate": 0.07, "periods_per_year": 12}, "$259,772.11"),
    ("What is £5,000 worth after 8 years at 4.5% p.a. compounded monthly?", "compound_interest",
     {"principal": 5000, "annual_rate": 0.045, "periods_per_year": 12, "years": 8}, "£7,161.82"),
    ("How much will I have if I save two hundred euros every month for fifteen years at four percent interest?",
     "compound_interest", {"deposit_per_period": 200, "years": 15, "annual_rate": 0.04}, "€49,218.10"),
    ("a thousand dollars at five percent for twenty years", "compound_interest",
     {"principal": 1000, "annual_rate": 0.05, "years": 20}, "$2,653.30"),
    ("How much would half a million grow to in ten years at six percent?", "compound_interest",
     {"principal": 500000, "years": 10}, "895,423.85"),
    ("1000 at 1% a month for 2 years", "compound_interest",
     {"annual_rate": 0.12, "periods_per_year": 12, "years": 2}, "1% a month"),
    ("If I invest 1.234,56 € at 3% for 18 months", "compound_interest",
     {"principal": 1234.56, "annual_rate": 0.03, "years": 1.5}, "18 months"),
    ("I'm 16. If I put $50 at the start of each month into an S&P 500 fund at 7% for 40 years, how much will I have?",
     "compound_interest", {"principal": 0, "deposit_per_period": 50, "deposit_at_start": True, "years": 40}, "$132,006.24"),
    ("grow 2.5k at 7% over a decade", "compound_interest", {"principal": 2500, "years": 10}, "4,917.88"),
    ("what's the CAGR from 5k to 8k in 3 years", "cagr", {"begin": 5000, "end": 8000, "years": 3}, "16.96%"),
    ("My $3,000 became $4,200 after 5 years. What annual rate of return is that?", "cagr",
     {"begin": 3000, "end": 4200, "years": 5}, "6.96%"),
    ("What interest rate do I need to double my money in 10 years?", "cagr", {"begin": 1, "end": 2}, "7.18%"),
    ("how long to double at 6%", "savings_goal", {"goal": 2, "principal": 1, "annual_rate": 0.06}, "11.9 years"),
    ("When will $5,000 triple at 8%?", "savings_goal", {"goal": 15000, "principal": 5000}, "14.3 years"),
    ("How long until I have 100k if I save 500 a month at 6%?", "savings_goal",
     {"goal": 100000, "deposit_per_period": 500, "periods_per_year": 12}, "11.6 years"),
    ("How much do I need to save each month to have $50,000 in 5 years at 4%?", "savings_goal",
     {"goal": 50000, "years": 5, "periods_per_year": 12}, "$754.16"),
    ("I buy 3 shares at 10, 12 and 14, what's my average cost", "average_cost",
     {"purchases": [[1, 10], [1, 12], [1, 14]]}, "average cost of 12 each"),
    ("10 shares at $5 and 20 shares at $8, what is my average price per share?", "average_cost",
     {"purchases": [[10, 5], [20, 8]]}, "average cost of $7 each"),
    ("What do fees of 1% vs 0.2% cost over 30 years on $10k?", "fee_drag",
     {"principal": 10000, "annual_fee": 0.01, "other_annual_fee": 0.002, "years": 30, "annual_return": 0.05},
     "The question gives no return, so 5% a year before fees is assumed."),
    ("I have $10,000. How much do I lose to a 1.5% fee over 20 years if it grows at 6% a year?", "fee_drag",
     {"annual_fee": 0.015, "annual_return": 0.06}, "$8,366.25"),
    ("loan payment 20k at 6% over 5 years", "loan",
     {"principal": 20000, "annual_rate": 0.06, "years": 5, "periods_per_year": 12}, "386.66"),
    ("I borrow 15 000 € at 4,9% for 48 months. What do I pay each month?", "loan",
     {"principal": 15000, "annual_rate": 0.049, "years": 4}, "€344.76"),
    ("inflation 3% over 20 years on 100", "inflation", {"amount": 100, "annual_rate": 0.03, "years": 20}, "55.37"),
    ("At 3% inflation, how much will I need in 25 years to buy what costs $50,000 now?", "inflation",
     {"amount": 50000, "years": 25}, "$104,688.90"),
]  # fmt: skip

NOT_ASKED = [
    "What is an ETF?",
    "What is compound interest?",
    "What is the rule of 72?",
    # A number that is needed is not there.
    "100 a month for 10 years",
    "How long until I have 2000 if I invest 50 a month?",
    "How much must I save in an account each month to have 2000 in 2 years?",
    "I save 50 a month. How long?",
    "How much will I have at 5% for 10 years?",
    "How long to double my money?",
    "What's my monthly payment on a 20k loan over 5 years?",
    # It can be read in two ways.
    "invest 1000 at 5-7% for 10 years",
    "invest 1000 at 5% or 6% for 10 years",
    "I have 1.000 € at 5% for 10 years",
    "$100 and €200 at 5% for 10 years",
    "If I invest 1000 in 2030 at 5% for 10 years",
    "5 shares at 10, 12 and 14, average cost?",
    "100 a month at 5% compounded daily for 10 years",
    # It asks for something else.
    "Should I invest $1,000 at 7% for 30 years?",
    "Is 7% a realistic return for 30 years on 1000?",
    "A man promises 5% a month on 1000 for 10 years, is it a scam?",
    "The fund has a fee of 0.2% and returned 7% over 10 years. Is that good?",
    "How does a bond with a 5% coupon for 10 years on 1000 pay?",
    "I lost 20% of 1000 in 2 years, what now?",
    "I earn 3000 a month and spend 50% on rent for 2 years",
    "Does a 30-year mortgage at 6% cost more than a 15-year mortgage at 5% on 200k?",
    "Who won the 2020 election with 51% after 4 years and 100 days?",
    "My grandmother left me 1000 and a bank in Paris offers 5% for 3 years, whom can I call in Lyon about opening hours?",
    "invest 1e5 at 5% for 10 years",
    "invest 5kg at 5% for 10 years",
    "invest 1000 at 5% for 10 years from 3.5.2024",
    "<m0> at <p0> for <y0>",
    "1000 at -5% for 10 years",
    "1000 at 700% for 10 years",
    "1000 at 5% for 10000 years",
    "100 a month at 5% for 10 years? " * 20,
    "",
]


def plainly(question: str) -> Computed:
    done = recognise(question)
    assert done is not None, question
    return done


@pytest.mark.parametrize(("question", "name", "inputs", "said"), ASKED)
def test_a_plain_calculation_is_recognised_and_computed(
    question: str, name: str, inputs: dict[str, Any], said: str
) -> None:
    done = plainly(question)
    assert done.name == name
    assert done.inputs == done.inputs | inputs
    assert said in done.explanation
    assert done.formula


@pytest.mark.parametrize("question", NOT_ASKED)
def test_anything_else_is_left_to_the_library(question: str) -> None:
    assert recognise(question) is None


MONEY = ["${}", "{} dollars", "{}", "{} USD", "€{}", "{} €", "{} euros"]
RATE = ["{}%", "{} %", "{} percent", "{} per cent", "{}% p.a.", "{}% a year", "{}% interest per year", "an annual return of {}%"]  # fmt: skip
TIME = ["{} years", "{} yrs", "{}-year period", "the next {} years"]
EACH = ["a month", "per month", "monthly", "each month", "every month", "/month"]
SAVING = [
    "{deposit} {each} at {rate} for {time}?",
    "If I invest {deposit} {each} for {time} at {rate}, how much will I have?",
    "how much is {deposit} {each} after {time} at {rate}",
    "Suppose I put {deposit} {each} into a fund that earns {rate}. What will it be worth after {time}?",
    "What do I end up with when I save {deposit} {each} over {time} with {rate}?",
]
ONCE = [
    "{deposit} at {rate} for {time}",
    "What will {deposit} be worth in {time} at {rate}?",
    "how much will {deposit} grow to over {time} if it earns {rate}?",
    "If I deposit {deposit} today and leave it for {time} at {rate}, what is the final amount?",
]


def test_the_wording_does_not_change_the_sum() -> None:
    dice = random.Random(7)
    for _ in range(600):
        question, expected = _worded(dice)
        assert plainly(question).inputs == pytest.approx(expected), question


def _worded(dice: random.Random) -> tuple[str, dict[str, Any]]:
    again, amount = dice.random() < 0.5, dice.choice([25, 50, 100, 200, 1500, 12000])
    rate, years = dice.choice([1, 2.5, 3.25, 4, 5, 7.5, 10]), dice.randint(1, 45)
    written = dice.choice([str(amount), f"{amount:,}", *([f"{amount / 1000:g}k"] if amount > 999 else [])])  # fmt: skip
    question = dice.choice(SAVING if again else ONCE).format(
        deposit=dice.choice(MONEY).format(written),
        each=dice.choice(EACH),
        rate=dice.choice(RATE).format(rate),
        time=dice.choice(TIME).format(years),
    )
    expected = {"principal": 0 if again else amount, "annual_rate": rate / 100, "years": years,
                "periods_per_year": 12 if again else 1}  # fmt: skip
    if again:
        expected |= {"deposit_per_period": amount, "deposit_at_start": False}
    return (question.upper() if dice.random() < 0.2 else question), expected


def test_every_explanation_says_that_a_rate_is_no_promise_and_shows_its_result() -> None:
    for question, name, *_ in ASKED:
        done = plainly(question)
        if name in ("compound_interest", "savings_goal", "fee_drag", "inflation"):
            no_rate = done.inputs.get("annual_rate") == 0
            said = "without interest" if no_rate else "an assumption, not a promise"
            assert said in done.explanation
        assert not re.search(r"\d{4,}(?!\d*%)", done.explanation.replace(",", "x")), (
            done.explanation
        )


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "a ", "1,", "every month ", "5% ", "100 a month ", "of the ", "$", "one ", "per "],
)
def test_no_wording_takes_long_to_read(piece: str) -> None:
    text = (piece * 400)[:390]
    for question in (text, f"100 a month at 5% {text}", f"{text} 5% 10 years"):
        began = time.perf_counter()
        recognise(question[:400])
        assert time.perf_counter() - began < 0.5


@given(
    st.lists(
        st.sampled_from(
            [
                "100",
                "$1,000",
                "5%",
                "10 years",
                "a month",
                "at",
                "for",
                "1.5",
                "half a million",
                "fees",
                "inflation",
                "loan",
                "double",
                "how long",
                "cagr",
                "from",
                "to",
                "<m0>",
                "average cost",
                "shares",
                "-",
                "two",
                "3rd",
                "°",
                "²",
            ]
        ),
        max_size=14,
    )
)
@settings(max_examples=400, deadline=None)
def test_any_heap_of_words_is_read_without_an_error(words: list[str]) -> None:
    done = recognise(" ".join(words))
    assert done is None or done.result is not None


@pytest.mark.parametrize(
    "question",
    [
        "Should I take a loan of 20k at 6% over 5 years?",
        "Should I invest $1,000 at 7% for 30 years?",
        "Is it a good idea to borrow $5,000 at 9% for 3 years to buy shares?",
        "Which is better for me, $100 a month at 5% for 10 years or paying off my loan?",
        "My boyfriend wants me to lend him 2000 at 0% for 2 years",
        "Would you recommend I put $10,000 into Tesla for 5 years at 12%?",
    ],
)
def test_a_wish_for_advice_with_numbers_in_it_is_no_sum(question: str) -> None:
    assert recognise(question) is None
