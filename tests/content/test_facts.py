"""Figures of companies: every value with its period, differences only where both sides were filed."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.content.sources.facts import CompanyFacts, Fact, as_markdown, figures, quarters

CASE = Path(__file__).parents[1] / "cases" / "sec-ytd-as-quarter"
COMPANY = msgspec.json.decode((CASE / "companyfacts.json").read_bytes(), type=CompanyFacts)
EXPECTED = json.loads((CASE / "expected.json").read_text())


def facts_of(concept: str) -> list[Fact]:
    return COMPANY.facts["us-gaap"][concept].units["USD"]


def fact(
    start: str | None, end: str, value: str, *, filed: str = "2024-01-01", accn: str = "a"
) -> Fact:
    begin = date.fromisoformat(start) if start else None
    return Fact(
        date.fromisoformat(end), Decimal(value), accn, "10-Q", date.fromisoformat(filed), begin
    )


def test_year_to_date_values_become_quarters() -> None:
    found = quarters(facts_of("NetCashProvidedByUsedInOperatingActivities"))
    assert [int(figure.value) for figure in found] == EXPECTED["ocf_quarters"]
    assert [str(figure.end) for figure in found] == [
        "2023-04-30",
        "2023-07-31",
        "2023-10-31",
        "2024-01-31",
    ]
    assert [figure.derived for figure in found] == [False, True, True, True]


def test_a_quarter_that_does_not_follow_is_not_stated() -> None:
    facts = facts_of("PaymentsToAcquireInvestments")
    assert quarters(facts) == []
    [half] = [figure for figure in figures(facts) if figure.derived]
    assert (int(half.value), half.months) == (EXPECTED["payments_second_half"], 6)
    assert (str(half.start), str(half.end)) == ("2023-08-01", "2024-01-31")


def test_the_latest_filing_of_a_period_holds_and_one_that_was_filed_is_not_derived() -> None:
    found = figures(
        [
            fact("2023-01-01", "2023-03-31", "100"),
            fact("2023-01-01", "2023-06-30", "250"),
            fact("2023-04-01", "2023-06-30", "149", accn="said"),
            fact("2023-01-01", "2023-03-31", "101", filed="2024-05-01", accn="restated"),
        ]
    )
    by_period = {(figure.start, figure.end): figure for figure in found}
    assert len(found) == 3
    assert by_period[date(2023, 1, 1), date(2023, 3, 31)].value == 101
    assert by_period[date(2023, 4, 1), date(2023, 6, 30)].accessions == ("said",)


def test_values_per_share_are_not_subtracted() -> None:
    shares = [fact("2023-01-01", "2023-03-31", "1.10"), fact("2023-01-01", "2023-06-30", "2.30")]
    assert not any(figure.derived for figure in figures(shares, additive=False))
    text = as_markdown(
        msgspec.convert(
            {"cik": 1, "entityName": "X", "facts": {"us-gaap": {"EarningsPerShareDiluted": {"units": {
                "USD/shares": [msgspec.to_builtins(f) for f in shares]}}}}}, CompanyFacts, strict=False,
        )
    )  # fmt: skip
    assert "difference" not in text
    assert "2.30 USD/shares" in text


def test_balances_hold_on_a_day() -> None:
    [figure] = figures([fact(None, "2023-12-31", "5")])
    assert (figure.start, figure.months) == (None, 0)


@given(st.lists(st.decimals(min_value=-1000, max_value=1000, places=2), min_size=4, max_size=4))
def test_the_quarters_of_a_year_add_up_to_it(values: list[Decimal]) -> None:
    ends = [date(2023, 3, 31), date(2023, 6, 30), date(2023, 9, 30), date(2023, 12, 31)]
    facts = [fact("2023-01-01", str(end), str(sum(values[: n + 1]))) for n, end in enumerate(ends)]
    found = quarters(facts)
    assert [figure.value for figure in found] == values
    assert all(b.start == a.end + timedelta(days=1) for a, b in pairwise(found) if b.start)
