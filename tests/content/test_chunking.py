"""Passages are exact slices, within the token limit, along sections and sentences."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ai_investment.content.chunking import Span, chunk
from ai_investment.content.extraction import Block, Heading, Unreadable, assemble
from ai_investment.content.sentences import sentences


def words(text: str) -> int:
    return len(text.split())


def document(*blocks: Block | str) -> tuple[str, list[Heading]]:
    return assemble(block if isinstance(block, Block) else Block(block) for block in blocks)


def passages(text: str, headings: list[Heading], max_tokens: int) -> list[tuple[str | None, str]]:
    spans = chunk(text, headings, count_tokens=words, max_tokens=max_tokens)
    return [(span.heading, text[span.start : span.end]) for span in spans]


LONG = "One two three four five six seven eight nine ten."


def test_a_passage_carries_the_path_of_its_headings() -> None:
    text, headings = document(
        LONG,
        Block("Funds", 1),
        Block("Costs", 2),
        LONG,
        Block("Fees", 3),
        LONG,
        Block("Risk", 1),
        LONG,
    )
    assert passages(text, headings, 20) == [
        (None, LONG),
        ("Funds > Costs", LONG),
        ("Funds > Costs > Fees", LONG),
        ("Risk", LONG),
    ]


def test_tiny_neighbours_share_a_passage_with_their_heading_lines() -> None:
    text, headings = document(
        Block("Glossary", 1),
        *(
            Block("Ask", 2),
            "A price.",
            Block("Bid", 2),
            "Another price.",
            Block("Spread", 2),
            "The gap.",
        ),
        *(Block("Index", 2), LONG),
    )
    assert passages(text, headings, 20) == [
        ("Glossary", "Ask\n\nA price.\n\nBid\n\nAnother price.\n\nSpread\n\nThe gap."),
        ("Glossary > Index", LONG),
    ]


def test_tiny_sections_of_different_parents_stay_apart() -> None:
    text, headings = document(
        *(Block("A", 1), Block("x", 2), "One."), *(Block("A", 1), Block("y", 2), "Two.")
    )
    assert passages(text, headings, 40) == [("A > x", "One."), ("A > y", "Two.")]


def test_a_heading_with_nothing_under_it_is_not_lost() -> None:
    text, headings = document(Block("Funds", 1), LONG, Block("Sources", 2), Block("Bonds", 1), LONG)
    assert passages(text, headings, 20) == [("Funds", LONG), ("Funds", "Sources"), ("Bonds", LONG)]


def test_sentences_with_abbreviations_stay_whole() -> None:
    sentence = "A fee of approx. 3.5 percent applies to the U.S. Treasury fund."
    text = " ".join([sentence] * 10)
    assert [passage for _, passage in passages(text, [], 15)] == [sentence] * 10


def test_a_passage_ends_with_a_paragraph_and_not_after_a_colon() -> None:
    items = "- a b c\n- d e f"
    text, headings = document(LONG, f"{LONG} Check these two:", items)
    assert passages(text, headings, 24) == [
        (None, LONG),
        (None, f"{LONG} Check these two:\n\n{items}"),
    ]


def test_a_table_that_fits_is_kept_together() -> None:
    table = "Fund | Fee\nA | 0.1%\nB | 0.2%\nC | 0.3%"
    text, headings = document(f"{LONG} {LONG}", table, LONG)
    assert (None, table) in passages(text, headings, 20)


def test_an_endless_sentence_is_cut_to_the_limit_between_words() -> None:
    text = "word and " * 500
    found = [passage for _, passage in passages(text, [], 20)]
    assert all(words(passage) <= 20 for passage in found)
    assert " ".join(found).split() == text.split()


def test_no_text_no_passages() -> None:
    assert chunk(" \n ", [], count_tokens=words) == []


def test_a_megabyte_takes_seconds() -> None:
    text = "\n\n".join([f"{LONG} {LONG} It costs 5.25% in the U.S. market."] * 8_000)
    started = time.perf_counter()
    spans = chunk(text, [], count_tokens=words)
    assert len(text) > 1_000_000
    assert len(spans) > 1_000
    assert time.perf_counter() - started < 10


PIECES = st.sampled_from(
    [
        "Fees are low. ",
        "approx. 3.5 ",
        "\n",
        "\n\n",
        "A | B\n",
        "- item\n",
        "😀é ",
        "x" * 30,
        "end: ",
        "。",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=30).map("".join)
BLOCKS = st.lists(st.builds(Block, TEXTS, st.integers(0, 4), st.booleans()), max_size=12)


def check(text: str, headings: list[Heading], spans: list[Span], max_characters: int) -> None:
    units = set(sentences(text))
    assert all(first.end <= second.start for first, second in pairwise(spans))
    for span in spans:
        passage = text[span.start : span.end]
        assert passage == passage.strip() != ""
        assert len(passage) <= max_characters
        cut = [
            (start, end)
            for start, end in units
            if start < span.start < end or start < span.end < end
        ]
        assert all(end - start > max_characters for start, end in cut)
    covered = bytearray(len(text))
    for span in spans:
        covered[span.start : span.end] = b"\1" * (span.end - span.start)
    carried = {part for span in spans if span.heading for part in span.heading.split(" > ")}
    for heading in headings:
        if not covered[heading.start] and (heading.text in carried or " > " in heading.text):
            covered[heading.start : heading.start + len(heading.text)] = b"\1" * len(heading.text)
    assert all(covered[at] or text[at].isspace() for at in range(len(text)))


@settings(deadline=None)
@given(BLOCKS, st.integers(10, 120))
@example([Block("A", 1), Block("B", 2), Block("C", 1)], 40)
def test_spans_are_exact_bounded_and_cover_every_document(
    blocks: list[Block], max_characters: int
) -> None:
    try:
        text, headings = assemble(blocks)
    except Unreadable:
        return
    spans = chunk(text, headings, count_tokens=len, max_tokens=max_characters)
    check(text, headings, spans, max_characters)


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_spans_are_exact_bounded_and_cover_any_text(text: str, max_characters: int) -> None:
    spans = chunk(text, [], count_tokens=len, max_tokens=max_characters)
    check(text, [], spans, max_characters)


def test_a_passage_has_no_odd_white_space_at_its_ends() -> None:
    text = "0\r\x0c0"
    spans = chunk(text, [], count_tokens=len, max_tokens=2)
    assert [text[span.start : span.end] for span in spans] == ["0", "0"]
