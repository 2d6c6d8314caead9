"""What is quoted, with the real embedding model, from passages as retrieval finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ai_investment.adapters.minilm import MiniLM, load_minilm
from ai_investment.answers.models import Statement
from ai_investment.answers.quoting import QuotingAnswerer
from ai_investment.content.find import Passage

FUNDS = (
    "Funds are popular with beginners. An index fund is a fund that copies an index. "
    "It holds the same shares as the index. Costs are often low."
)
STEPS = "1. Write down every expense.\n2. Add up your income.\n3. Choose an amount to save first."
BUDGET = "A budget is a plan for money that comes in and goes out. It covers a week or a month."
MATTER = "However, this changed in 2020. Rates fell because central banks wanted people to spend."
TABLE = "| Saving | Investing\nGoal | Safety | Growth\nRisk | Low | Higher"
SAVING = "Saving keeps money safe, while investing may grow or lose value."


@pytest.fixture(scope="module")
def embedder(models: Path) -> MiniLM:
    return load_minilm(models)


async def quoted(embedder: MiniLM, question: str, *passages: tuple[str, str]) -> list[Statement]:
    given = [
        Passage(f"pas_{n}", f"doc_{n}", "Money", None, "library", None, heading, text, 0.9 - n / 10)
        for n, (heading, text) in enumerate(passages)
    ]
    items = [item async for item in QuotingAnswerer(embedder).compose(question, given)]
    statements = [item for item in items if isinstance(item, Statement)]
    texts = {passage.id: passage.text for passage in given}
    for statement in statements:
        assert statement.quoted
        assert statement.text == "\n".join(quote.text for quote in statement.quotes)
        assert all(quote.text in texts[quote.passage_id] for quote in statement.quotes)
    return statements


async def test_a_question_for_a_meaning_is_answered_with_the_definition_first(
    embedder: MiniLM,
) -> None:
    [first, *_] = await quoted(
        embedder, "whats an index fund", ("Funds", FUNDS), ("Budget", BUDGET)
    )
    assert first.text.startswith("An index fund is a fund that copies an index. It holds")


async def test_a_question_for_a_way_is_answered_with_all_steps_in_order(embedder: MiniLM) -> None:
    [first, *_] = await quoted(
        embedder, "How do I make a budget?", ("What is a budget?", BUDGET), ("First budget", STEPS)
    )
    assert first.text == STEPS


async def test_a_quotation_never_opens_with_a_word_that_points_back(embedder: MiniLM) -> None:
    [only] = await quoted(embedder, "Why did rates fall?", ("Rates", MATTER))
    assert only.text == "Rates fell because central banks wanted people to spend."


async def test_a_comparison_may_quote_a_table_whole_and_other_questions_do_not(
    embedder: MiniLM,
) -> None:
    compared = await quoted(
        embedder, "difference between saving and investing?", ("Compare", TABLE), ("Saving", SAVING)
    )
    assert TABLE in [statement.text for statement in compared]
    explained = await quoted(embedder, "What is saving?", ("Compare", TABLE), ("Saving", SAVING))
    assert [statement.text for statement in explained] == [SAVING]


async def test_two_sources_that_say_the_same_are_quoted_once(embedder: MiniLM) -> None:
    twin = "A budget is a plan for the money that comes in and goes out. It covers a month."
    [only] = await quoted(embedder, "What is a budget?", ("Budget", BUDGET), ("Plans", twin))
    assert only.text == BUDGET


async def test_two_questions_in_one_message_are_both_answered(embedder: MiniLM) -> None:
    statements = await quoted(
        embedder,
        "What is an index fund and how do I make a budget?",
        ("Funds", FUNDS), ("First budget", STEPS), ("What is a budget?", BUDGET),
    )  # fmt: skip
    texts = [statement.text for statement in statements]
    assert texts[0].startswith("An index fund is a fund")
    assert STEPS in texts


@pytest.mark.parametrize("question", ["???", "the of and", "🦊", "x" * 4000])
async def test_odd_questions_are_quoted_for_without_an_error(
    embedder: MiniLM, question: str
) -> None:
    await quoted(embedder, question, ("Funds", FUNDS), ("", ""), ("Table", TABLE))
