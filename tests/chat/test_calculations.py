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
