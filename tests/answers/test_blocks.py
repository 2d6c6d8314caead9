from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.answers.blocks import Block, blocks, leans
from ai_investment.content.find import Passage


def passage(text: str, position: int = 0, heading: str | None = "Scams") -> Passage:
    return Passage(
        f"pas_{position}", "doc_1", "Money", None, "library", None, heading, text, 0.9, position
    )


def of(text: str, *beside: Passage) -> list[Block]:
    here = passage(text)
    return blocks(here, {(item.document_id, item.position): item for item in (here, *beside)})


def test_a_list_comes_with_the_sentence_that_leads_to_it() -> None:
    first, second, third = of(
        "Scams are lies. Signs include:\n\n- Pressure to act now.\n- Secrecy.\n\nTell an adult."
    )
    assert (first.kind, first.text) == ("paragraph", "Scams are lies.")
    assert second.text == "Signs include:\n\n- Pressure to act now.\n- Secrecy."
    assert third.text == "Tell an adult."


def test_a_list_that_goes_on_in_the_next_passage_is_one_list() -> None:
    start, end = "Signs include:\n- Pressure.\n- Secrecy.", "- A gift card.\n\nTell an adult."
    [only] = of(start, passage(end, 1))
    assert (only.size, only.more and only.more.text) == (3, "- A gift card.")
    here = passage(end, 1)
    rest = blocks(here, {("doc_1", 0): passage(start), ("doc_1", 1): here})
    assert [block.text for block in rest] == ["Tell an adult."]


def test_lists_of_two_sections_are_two_lists() -> None:
    [only] = of("- Pressure.\n- Secrecy.", passage("- A gift card.", 1, heading="Help"))
    assert only.more is None


@pytest.mark.parametrize(
    "sentence",
    [
        "However, it can fall.",
        "This is why.",
        "They rise too.",
        "Such funds cost more.",
        "For example, Ana buys.",
        "The second kind is paid monthly.",
        "Both can lose value.",
    ],
)
def test_no_block_begins_with_words_that_lean_on_a_sentence_that_is_not_there(
    sentence: str,
) -> None:
    assert of(f"{sentence} Fees are costs.")[0].text == "Fees are costs."
    [whole] = of(f"A bond is a loan.\n\n{sentence}")
    assert whole.text == f"A bond is a loan.\n\n{sentence}"


@pytest.mark.parametrize(
    "text", ["A heading", "What is a fee?", "- ", "", "This leads nowhere:", "cut off in the"]
)
def test_what_is_no_whole_statement_is_no_block(text: str) -> None:
    assert of(text) == []


def test_what_an_example_tells_is_marked_and_its_rule_is_not() -> None:
    rule, told = of(
        "A fee lowers growth.\n\nSuppose a fund grows:\n- Year 1: $100.\n- Year 2: $105."
    )
    assert not rule.in_example
    assert told.in_example
    assert told.text.startswith("Suppose a fund grows:")


@given(st.text(alphabet='AIt .:?!\n-|1"he', max_size=200))
def test_every_item_is_a_stretch_of_its_passage_in_order_and_no_paragraph_leans(text: str) -> None:
    for block in of(text):
        spans = [*([block.lead] if block.lead else []), *block.items]
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        if block.kind == "paragraph":
            assert not leans(block.item(0))
