"""What is made of a ranking: ages, copies, how many of one document; and extracts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.ranking import Ranked
from ai_investment.content.search import extract
from ai_investment.content.shaping import Shaped, aged, shape
from ai_investment.db import Database, db_now

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def ranked(passage: str, score: float, **more: Any) -> Ranked:
    named = {"document_id": passage, "position": 0, "published_at": None, "kind": None, **more}
    return Ranked(passage_id=passage, score=score, cosine=None, bm25=None, **named)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["news", "article", None]), st.integers(-5, 5000) | st.none())
    )
)  # fmt: skip
def test_only_news_lose_with_age_and_never_more_than_a_fifth(
    given_: list[tuple[float, str | None, int | None]],
) -> None:
    items = [
        ranked(f"p{n}", score, kind=kind, published_at=None if days is None else NOW - timedelta(days=days))
        for n, (score, kind, days) in enumerate(given_)
    ]  # fmt: skip
    before = {item.passage_id: item for item in items}
    after = aged(items, NOW)
    assert sorted(before) == sorted(item.passage_id for item in after)
    for item in after:
        lost = before[item.passage_id].score - item.score
        assert -1e-9 <= lost <= 0.2 + 1e-9
        assert item.kind == "news" or lost == 0
    assert [item.score for item in after] == sorted((it.score for it in after), reverse=True)


async def stored(database: Database, documents: dict[str, Sequence[str]], **columns: Any) -> None:
    """Live documents with these passages."""
    async with database.transaction() as db:
        for key, passages in documents.items():
            common = {"created_at": db_now()}
            await db.execute(
                sa.insert(Document).values(
                    id=key, key=key, source="s", live_version_id=f"v{key}", updated_at=db_now(),
                    **common, **columns,
                )
            )  # fmt: skip
            await db.execute(
                sa.insert(DocumentVersion).values(
                    id=f"v{key}", document_id=key, number=1, state="indexed", name="n", object_key="o",
                    title="Funds", text="", **common,
                )
            )  # fmt: skip
            await db.execute(
                sa.insert(PassageRow),
                [
                    {"id": f"{key}{n}", "version_id": f"v{key}", "position": n, "start": 0, "end": 1, "text": text}
                    for n, text in enumerate(passages)
                ],
            )  # fmt: skip


def words(number: int) -> str:
    return " ".join(f"word{letter}{'x' * number}" for letter in "abcdefghij")


def names(shaped: Sequence[Shaped]) -> list[str]:
    return [item.ranked.passage_id for item in shaped]


async def test_of_one_document_no_more_than_asked_for_are_kept(database: Database) -> None:
    await stored(database, {"a": [words(n) for n in range(6)], "b": [words(7)]})
    order = [ranked(f"a{n}", 1 - n / 10, document_id="a") for n in range(6)]
    order.append(ranked("b0", 0.1, document_id="b"))
    assert names(await shape(database, order, limit=8, a_document=3)) == ["a0", "a1", "a2", "b0"]


async def test_of_many_copies_the_newest_is_kept_and_leaves_room_for_what_is_said_otherwise(
    database: Database,
) -> None:
    copies = {f"c{n:02}": [words(1)] for n in range(40)}
    await stored(database, {**copies, "other": [words(2)]})
    order = [ranked(f"{key}0", 0.9, document_id=key) for key in copies]
    order.append(ranked("other0", 0.1, document_id="other"))
    assert names(await shape(database, order, limit=2, a_document=3)) == ["c390", "other0"]


async def test_of_two_copies_trust_counts_before_age(database: Database) -> None:
    await stored(database, {"open": [words(1)]}, trust="open")
    await stored(database, {"known": [words(1)]}, trust="established")
    order = [ranked("open0", 0.9, document_id="open"), ranked("known0", 0.2, document_id="known")]
    [kept] = await shape(database, order, limit=5, a_document=3)
    assert kept.row.document_id == "known"


async def test_what_is_no_longer_live_is_left_out(database: Database) -> None:
    await stored(database, {"gone": [words(1)], "here": [words(2)]})
    async with database.transaction() as db:
        await db.execute(
            sa.update(Document).where(Document.id == "gone").values(live_version_id=None)
        )
    order = [ranked("gone0", 0.9), ranked("here0", 0.2), ranked("unknown", 0.1)]
    assert names(await shape(database, order, limit=5, a_document=3)) == ["here0"]


INDEX = TantivyIndex()


@given(st.text(max_size=1200), st.text(max_size=40))
def test_an_extract_is_a_stretch_of_the_text(text: str, query: str) -> None:
    told = extract(text, set(INDEX.terms(query)))
    assert told.removeprefix("… ").removesuffix(" …") in text
    assert len(told) <= 304


def test_an_extract_shows_the_sentence_that_was_looked_for() -> None:
    text = (
        "Nothing of interest stands here. " * 20 + "The wombat eats grass. " + "More of it. " * 30
    )
    told = extract(text, {"wombat", "grass"})
    assert "The wombat eats grass." in told
    assert told.startswith("… ")
    assert told.endswith(" …")
