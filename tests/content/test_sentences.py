"""Sentences keep numbers and abbreviations whole, and their offsets are exact for any text."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_investment.content.sentences import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["The fee is 5.25% a year.", "It was 5.5% before."],
        ["A fee of approx. 3.5 percent applies.", "It is low."],
        ["Costs incl. taxes are est. 3 percent.", "They rose."],
        ["The U.S. Treasury sells bonds.", "Many buy them."],
        ["Some funds, e.g. index funds, are cheap.", "Others are not."],
        [
            "Apple Inc. reported $1.5bn. in sales vs. $1.2bn. a year ago.",
            "It paid No. 5 its share.",
        ],
        ["Mr. Smith bought on Jan. 5, 2024.", "He sold in May."],
        ["The price fell to 1.5.", "2.5 was the high."],
        ["Read example.com/A.Report first.", "Then decide."],
        ["Die Gebühr war hoch.", "Über 2 % pro Jahr."],
        ["Is it safe?", "No!", "Wait..."],
        ["费用很低。", "风险很高。"],
    ],
)
def test_splits_only_where_a_sentence_ends(parts: list[str]) -> None:
    text = "".join(parts) if "。" in parts[0] else " ".join(parts)
    assert split(text) == parts


def test_offsets_are_characters_after_emoji_and_accents() -> None:
    text = "😀 Café costs 5 €. 👩‍👩‍👧 É combining. Done."
    assert split(text) == ["😀 Café costs 5 €.", "👩‍👩‍👧 É combining.", "Done."]


def test_lines_are_units_of_their_own() -> None:
    text = (
        "Costs\n\n- One item. With two sentences.\n- no full stop\n1. First step. Then more.\nA\nB"
    )
    assert split(text) == [
        "Costs",
        "- One item.",
        "With two sentences.",
        "- no full stop",
        "1. First step.",
        "Then more.",
        "A",
        "B",
    ]


def test_a_table_row_is_never_split() -> None:
    assert split("Fund | Note\nX | It is cheap. Buy costs 1. Sell costs 2.") == [
        "Fund | Note",
        "X | It is cheap. Buy costs 1. Sell costs 2.",
    ]


def test_a_long_line_is_split_like_a_short_one() -> None:
    sentence = "Fees of approx. 0.25 percent are low, e.g. for funds in the U.S. market."
    assert split(" ".join([sentence] * 1000)) == [sentence] * 1000


def test_hostile_punctuation_takes_linear_time() -> None:
    started = time.perf_counter()
    sentences("(\"'" * 300_000)
    sentences("approx. 3 " * 50_000)
    assert time.perf_counter() - started < 10


PIECES = st.sampled_from(
    [
        "A. ",
        "b. ",
        "approx. ",
        "3.5",
        "U.S. ",
        "😀",
        "é",
        "e\u0301",
        '"',
        "(",
        "。",
        "\n",
        " | ",
        "- ",
        "1. ",
    ]
)


@settings(deadline=None)
@given(st.text() | st.lists(PIECES | st.text(max_size=5), max_size=60).map("".join))
def test_spans_are_exact_ordered_and_cover_everything(text: str) -> None:
    spans = sentences(text)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    assert all("\n" not in text[start:end] for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
