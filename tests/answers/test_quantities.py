from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.answers.quantities import quantities, vouches
from ai_investment.answers.quotes import locate, relocate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5% of $1,000", [("5", "%"), ("1000", "USD")]),
        ("five percent, 5 per cent", [("5", "%"), ("5", "%")]),
        ("1 000 € and 1'000", [("1000", "EUR"), ("1000", None)]),
        ("between 5 and 10 dollars", [("5", "USD"), ("10", "USD")]),
        ("5–10% a year", [("5", "%"), ("10", "%")]),
        ("$1.5bn or 2 million euros", [("1500000000", "USD"), ("2000000", "EUR")]),
        ("50 basis points", [("0.5", "points")]),
        ("−3.2% and -$4", [("-3.2", "%"), ("-4", "USD")]),
        ("1\u200b0% and ٥٪", [("10", "%"), ("5", "%")]),
        ("twenty-five years, two months", [("25", "year"), ("2", "month")]),
        ("1. Write it down", []),
        ("the first of a kind", []),
        ("Q3 and a 10-K", [("10", None)]),
    ],
)
def test_numbers_are_read_with_their_units(
    text: str, expected: list[tuple[str, str | None]]
) -> None:
    found = [(quantity.values[0], quantity.unit) for quantity in quantities(text)]
    assert found == [(Decimal(value), unit) for value, unit in expected]


@pytest.mark.parametrize(
    ("source", "said", "expected"),
    [
        ("5%", "0.05", True), ("0.05", "5%", True), ("5%", "5", False), ("5 euros", "5 dollars", False),
        ("5%", "5 basis points", False), ("0.05 percentage points", "5 basis points", True),
        ("50 cents", "$0.50", True), ("3 million", "3 billion", False), ("1.000 euros", "€1,000", True),
        ("1,648 dollars", "about $1,650", True), ("1,648 dollars", "$1,650", False),
        ("1,648 dollars", "about $1,700", False), ("2% a day", "2% a month", False),
        ("2% a year", "2%", True), ("10 years", "10 months", False), ("100 shares", "100 bonds", False),
        ("-5%", "5%", False), ("2022", "2022", True),
    ],
)  # fmt: skip
def test_a_number_vouches_for_itself_in_every_writing_and_for_no_other(
    source: str, said: str, expected: bool
) -> None:
    [told], [claimed] = quantities(source), quantities(said)
    assert vouches(told, claimed) == expected


@given(st.decimals(0, 10**9, places=2), st.sampled_from(["", "$", "€"]))
def test_a_number_is_the_same_with_and_without_separators(number: Decimal, sign: str) -> None:
    [one], [other] = quantities(f"{sign}{number:,}"), quantities(f"{sign}{number}")
    assert one.values[0] == other.values[0] == number
    assert vouches(one, other)


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for quantity in quantities(text):
        assert quantity.values
        assert vouches(quantity, quantity)


@given(st.text(), st.integers(0, 50), st.integers(1, 50))
def test_every_stretch_of_a_text_is_located_and_what_is_found_is_equal_but_for_white_space(
    text: str, start: int, length: int
) -> None:
    quote = text[start : start + length]
    span = locate(quote, text)
    if not quote.strip():
        assert span is None
    else:
        assert span is not None
        assert text[span[0] : span[1]].split() == quote.split()


@given(st.text(max_size=60))
def test_what_is_found_in_spite_of_other_signs_lies_inside_the_text(text: str) -> None:
    passage = f"Before “{text}” after."
    if span := relocate(f'"{text}"', passage):
        assert 0 <= span[0] < span[1] <= len(passage)
