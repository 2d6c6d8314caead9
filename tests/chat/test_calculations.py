"""Questions that are plainly calculations, asked over HTTP, without a model."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.installation import asked


def test_a_plain_calculation_leads_the_answer_with_its_result_and_what_it_assumes(
    api: httpx.Client,
) -> None:
    answer = asked(api, "100 a month at 5% for 10 years?")["result"]
    assert (answer["outcome"], answer["reason"]) == ("answered", None)
    assert answer["text"].startswith("Investing 100 every month")
    assert "15,528.23" in answer["text"].split("\n")[0]
    assert "an assumption, not a promise" in answer["text"]
    [calculation] = answer["calculations"]
    assert calculation["name"] == "compound_interest"
    assert calculation["inputs"]["deposit_per_period"] == 100
    assert calculation["result"] == pytest.approx(15528.2279, abs=1e-3)
    assert calculation["formula"]
    assert calculation["explanation"] in answer["text"].replace(" (calculated)", "")
    assert answer["suggestions"][0] == {
        "kind": "calculator", "title": "Compound interest", "ref": "compound_interest",
    }  # fmt: skip
    # The same inputs give the same result at the calculator itself.
    again = api.post("/api/v1/calculators/compound_interest", json=calculation["inputs"]).json()
    assert again["result"] == calculation["result"]


def test_passages_that_follow_a_calculation_are_cited_as_ever(api: httpx.Client) -> None:
    answer = asked(api, "How long does it take to double my money with compound interest at 6%?")["result"]  # fmt: skip
    assert answer["calculations"][0]["name"] == "savings_goal"
    markers = {int(number) for number in re.findall(r"\[(\d+)\]", answer["text"])}
    assert markers == {citation["n"] for citation in answer["citations"]}


def test_a_question_without_a_needed_number_is_not_computed(api: httpx.Client) -> None:
    assert asked(api, "What does 100 a month become in 10 years?")["result"]["calculations"] == []


@pytest.mark.parametrize(
    "question",
    [
        "When will $5,000 double at 8%?",
        "I borrow 15 000 € at 4,9% for 48 months. What do I pay each month?",
        "At 3% inflation, how much will I need in 25 years to buy what costs $50,000 now?",
        "How much do I need to save each month to have $50,000 in 5 years at 4%?",
    ],
)
def test_a_sum_about_ones_own_money_is_no_wish_for_advice(api: httpx.Client, question: str) -> None:
    answer = asked(api, question)["result"]
    assert answer["outcome"] == "answered"
    assert len(answer["calculations"]) == 1


@pytest.mark.parametrize(
    "question",
    [
        "Should I take a loan of 20k at 6% over 5 years?",
        "Should I put my $1,000 into Tesla at 7% for 30 years?",
    ],
)
def test_a_wish_for_advice_with_numbers_in_it_stays_one(api: httpx.Client, question: str) -> None:
    answer = asked(api, question)["result"]
    assert (answer["outcome"], answer["reason"]) == ("refused", "personal_advice")
    assert answer["calculations"] == []
