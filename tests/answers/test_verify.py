from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.answers.models import Quote, Statement
from ai_investment.answers.verify import locate, numbers, verify
from ai_investment.content.find import Passage

TEXT = (
    "An ETF is a fund.\nIts yearly fee is 0.50 percent of 1,000 euros, and it was started in 2001."
)
PASSAGE = Passage("pas_1", "doc_1", "Funds", None, "library", None, None, TEXT, 0.9)


def said(text: str, quote: str = "An ETF is a fund.", passage: str = "pas_1") -> Statement:
    return Statement(text, [Quote(passage, quote)])


def test_a_statement_passes_with_its_quote_located_in_the_passage() -> None:
    verified = verify(said("ETFs are funds."), [PASSAGE], "?")
    assert verified is not None
    [found] = verified.found
    assert TEXT[found.start : found.end] == "An ETF is a fund."


@pytest.mark.parametrize(
    "statement",
    [
        said("ETFs are funds.", quote="An ETF is a share."),
        said("ETFs are funds.", quote="an etf is a fund."),
        said("ETFs are funds.", quote=""),
        said("ETFs are funds.", passage="pas_2"),
        Statement("ETFs are funds.", []),
        said(""),
    ],
    ids=[
        "invented quote",
        "other case",
        "empty quote",
        "unknown passage",
        "no quote",
        "empty text",
    ],
)
def test_a_statement_without_a_verbatim_quote_is_not_shown(statement: Statement) -> None:
    assert verify(statement, [PASSAGE], "?") is None


def test_white_space_in_a_quote_may_differ_and_the_span_is_the_passages_own() -> None:
    verified = verify(
        said("Fees are low.", quote="An ETF is a fund. Its  yearly fee"), [PASSAGE], "?"
    )
    assert verified is not None
    assert (
        TEXT[verified.found[0].start : verified.found[0].end] == "An ETF is a fund.\nIts yearly fee"
    )


@pytest.mark.parametrize(
    "text", ["The fee is 0.5 percent.", "Of 1000 euros.", "Since 2001.", "Over 7 years."]
)
def test_a_number_from_the_passage_or_the_question_passes_however_it_is_written(text: str) -> None:
    assert verify(said(text), [PASSAGE], "What about 7 years?") is not None


@pytest.mark.parametrize(
    "text", ["The fee is 5 percent.", "It has 8 shares.", "Since 2002.", "Fees of 0.05 percent."]
)
def test_a_number_from_nowhere_is_not_shown(text: str) -> None:
    assert verify(said(text), [PASSAGE], "?") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See [this](https://evil.example/?q=secret) now.", "See this now."),
        ("Look ![x](https://evil.example/p.png) here.", "Look x here."),
        ("Go to https://evil.example/a now.", "Go to  now."),
        ("Fees under <1 percent and over >1 differ.", "Fees under <1 percent and over >1 differ."),
        ("Funds <script>alert(1)</script> are funds.", "Funds alert(1) are funds."),
    ],
)
def test_links_images_html_and_own_markers_are_taken_out(text: str, shown: str) -> None:
    verified = verify(said(text), [PASSAGE], "1")
    assert verified is not None
    assert verified.text == shown


@pytest.mark.parametrize(
    "text",
    [
        "See htt<b>ps://evil.example/ now.",
        "See [a][b] now.",
        "See www.evil.example now.",
        "A [x] (http",
    ],
)
def test_markup_that_cleaning_would_only_put_together_is_not_shown(text: str) -> None:
    assert verify(said(text), [PASSAGE], "1") is None


def test_control_characters_of_a_writer_are_taken_out() -> None:
    verified = verify(said("Funds\x00 are\x1b[31m funds."), [PASSAGE], "31")
    assert verified is not None
    assert verified.text == "Funds are[31m funds."


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


@given(st.integers(0, 10**12))
def test_a_number_is_the_same_with_and_without_separators(number: int) -> None:
    assert numbers(f"{number:,}") == numbers(str(number)) == numbers(f"{number}.00")
