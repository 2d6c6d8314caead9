"""What reaches the reader: over a thousand outputs of a model, correct and faulty, generated and by hand."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from ai_investment.answers.models import Computed, Fault, Quote, Statement
from ai_investment.answers.verify import Evidence, Verified
from ai_investment.content.find import Passage
from tests.answers.handmade import FALSE, TRUE
from tests.answers.outputs import (
    Output,
    correct_outputs,
    faulty_outputs,
    library_passages,
    misplaced_outputs,
    said,
)

TEXT = (
    "An ETF is a fund.\nIts yearly fee is 0.50 percent of 1,000 euros, and it was started in 2001."
)
PASSAGE = Passage(
    "pas_1", "doc_1", "Funds", "https://funds.example/etf", "library", None, None, TEXT, 0.9
)


def judged(statement: Statement, *passages: Passage, question: str = "?") -> Verified | Fault:
    return Evidence(passages or [PASSAGE], question).verify(statement)


def shown(statement: Statement, *passages: Passage, question: str = "?") -> str | None:
    verdict = judged(statement, *passages, question=question)
    return verdict.text if isinstance(verdict, Verified) else None


def check_truth(verdict: Verified | Fault, output: Output) -> None:
    """What is shown is cited verbatim from the passages that were given, and holds no lie."""
    if isinstance(verdict, Fault):
        return
    assert verdict.found
    assert all(item.passage in output.passages for item in verdict.found)
    assert all(0 <= item.start < item.end <= len(item.passage.text) for item in verdict.found)
    assert not [lie for lie in output.lies if lie in verdict.text], output


def test_of_the_faulty_outputs_nothing_untrue_reaches_the_reader() -> None:
    outputs = list(faulty_outputs(each=30))
    assert len(outputs) > 500
    assert min(Counter(output.kind for output in outputs).values()) >= 8
    for output in outputs:
        check_truth(Evidence(output.passages, output.question).verify(output.statement), output)


def test_of_the_correct_outputs_nearly_all_pass_untouched() -> None:
    outputs = list(correct_outputs(500))
    untouched = [
        verdict
        for output in outputs
        if isinstance(
            verdict := Evidence(output.passages, output.question).verify(output.statement), Verified
        )
        and verdict.text == " ".join(output.statement.text.split())
    ]
    assert len(untouched) >= 0.98 * len(outputs)


def test_a_marker_at_the_wrong_passage_or_a_wrong_quote_is_put_right() -> None:
    for output in misplaced_outputs(60):
        verdict = Evidence(output.passages, output.question).verify(output.statement)
        assert isinstance(verdict, Verified), output
        assert verdict.repaired
        check_truth(verdict, output)
        homes = [it for it in output.passages if output.statement.text in it.text]
        assert verdict.found[0].passage in homes


@cache
def with_quote(quote: str) -> Passage:
    words = " ".join(quote.split())
    return next(it for it in library_passages() if words in " ".join(it.text.split()))


@pytest.mark.parametrize(("text", "quote"), TRUE)
def test_what_a_good_writer_says_in_other_words_passes(text: str, quote: str) -> None:
    if text not in TOO_FREE:
        assert shown(said(text, (with_quote(quote), quote)), with_quote(quote)) == text


# So free that their words alone do not vouch for them: left out of an answer, as the price of the rest.
TOO_FREE = {
    "If only one price goes up, that alone is not inflation.",
    "Crypto prices can swing sharply and you can lose everything.",
}


@pytest.mark.parametrize(("text", "quote", "lie"), FALSE)
def test_what_a_bad_writer_gets_wrong_is_not_shown(text: str, quote: str, lie: str) -> None:
    assert lie not in (shown(said(text, (with_quote(quote), quote)), with_quote(quote)) or "")


@pytest.mark.parametrize(
    "statement",
    [
        said("Shares are owned.", (PASSAGE, "A share is a part of a company.")),
        Statement("Shares are owned.", [Quote("nowhere", "An ETF is a fund.")]),
        Statement("Shares are owned.", []),
        said("", (PASSAGE, "An ETF is a fund.")),
        said("!? … --", (PASSAGE, "An ETF is a fund.")),
    ],
    ids=["invented quote", "unknown passage", "no quote", "empty", "only signs"],
)
def test_what_no_passage_says_is_not_shown(statement: Statement) -> None:
    assert shown(statement) is None


def test_white_space_in_a_quote_may_differ_and_the_span_is_the_passages_own() -> None:
    verdict = judged(said("An ETF is a fund.", (PASSAGE, "An ETF is a fund. Its  yearly fee")))
    assert isinstance(verdict, Verified)
    [found] = verdict.found
    assert TEXT[found.start : found.end] == "An ETF is a fund.\nIts yearly fee"


FEE = "Its yearly fee is 0.50 percent of 1,000 euros"


@pytest.mark.parametrize(
    "text",
    [
        "The yearly fee is 0.5 percent.",
        "The yearly fee is 0.50%.",
        "The yearly fee is 0.5% of €1000.",
        "The yearly fee is 0.5% of 1.000 euros.",
        "The yearly fee is 0.5% of one thousand euros.",
        "The yearly fee is a fraction of 0.005.",
        "In 7 years, the yearly fee is 0.5 percent.",
    ],
)
def test_a_number_from_the_quote_or_the_question_passes_however_it_is_written(text: str) -> None:
    assert shown(said(text, (PASSAGE, FEE)), question="What about 7 years?") == text


@pytest.mark.parametrize(
    "text",
    [
        "The yearly fee is 5 percent.",
        "The yearly fee is 0.05 percent.",
        "The yearly fee is 0.5 percentage points.",
        "The yearly fee is 0.5% of 1,000 dollars.",
        "The yearly fee is 0.5% of 1,000,000 euros.",
        "The yearly fee is 0.5% of a thousand million euros.",
        "The yearly fee is -0.5%.",
        "The yearly fee is 1,000% of 0.5 euros.",
        "It was started in 2002.",
        "It was started in 1001.",
    ],
)
def test_a_number_from_nowhere_or_with_another_unit_is_not_shown(text: str) -> None:
    assert shown(said(text, (PASSAGE, FEE), (PASSAGE, "it was started in 2001."))) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("An **ETF** is a `fund` [1].", "An ETF is a fund."),
        ("An [ETF](https://evil.example/?q=secret) is a fund.", "An ETF is a fund."),
        ("An ETF ![x](https://evil.example/p.png) is a fund.", "An ETF x is a fund."),
        ("<b>An ETF</b> is a fund.", "An ETF is a fund."),
        ("An\u200b ETF\x00 is a\u202e fund.", "An ETF is a fund."),
        ("An ETF is a fund, see https://funds.example/etf.", "An ETF is a fund, see https://funds.example/etf."),
        ("An ETF is a fund, see https://funds.example/other.", None),
        ("An ETF is a fund, see funds-today.com.", None),
        ("An ETF is a fund, write to me@evil.example.", None),
        ("An ETF is a fund, see htt<b>ps://evil.example/ now.", None),
        ("An ETF is a [fund][1] (x).", None),
        ("An ETF is a fund &#60;script&#62;.", None),
    ],
)  # fmt: skip
def test_markup_is_taken_out_and_links_lead_only_to_cited_documents(
    text: str, expected: str | None
) -> None:
    assert shown(said(text, (PASSAGE, "An ETF is a fund."))) == expected


def test_a_quotation_is_shown_only_as_it_stands() -> None:
    quote = Quote("pas_1", "An ETF is a fund.")
    assert shown(Statement("An ETF is a fund.", [quote], quoted=True)) == "An ETF is a fund."
    assert shown(Statement("An ETF is a safe fund.", [quote], quoted=True)) is None
    linked = reworded(PASSAGE, "Read https://evil.example today and win.")
    text = "Read https://evil.example today and win."
    assert shown(Statement(text, [Quote("pas_1", text)], quoted=True), linked) is None


def reworded(passage: Passage, text: str) -> Passage:
    return Passage(
        passage.id, passage.document_id, passage.title, None, "upload", None, None, text, 0.9
    )


LOAN = Computed(
    "compound_interest",
    {"principal": 1000, "annual_rate": 0.05, "years": 10},
    1647.00949769,
    "principal × (1 + rate)^years",
    "1000 × 1.05^10 = 1647.00949769",
)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("After 10 years you would have $1,647.01.", True),
        ("You would have about 1,650 dollars after ten years at 5%.", True),
        ("You would have about $1,700.", False),
        ("You would have $1,674.01.", False),
        ("You would have 1,647 euros.", False),
        ("You should buy an ETF, which gives 1,647 dollars.", False),
        ("Investing is fun.", False),
    ],
)
def test_a_statement_may_rest_on_a_calculation_and_says_its_numbers(
    text: str, passes: bool
) -> None:
    evidence = Evidence([PASSAGE], "What are $1,000 at 5% after 10 years?")
    evidence.add_computed(LOAN)
    verdict = evidence.verify(Statement(text, [], computed=True))
    assert isinstance(verdict, Verified) == passes, verdict
