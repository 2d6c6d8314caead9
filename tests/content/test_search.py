"""Search over HTTP: documents with their best passage, filters, pages, copies, and whatever people type."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_investment.content.models import Document, DocumentVersion
from ai_investment.db import Database
from tests.installation import Installation, asked, ingested

SEARCH = "/api/v1/content/search"


def page(api: httpx.Client, q: str, **more: Any) -> dict[str, Any]:
    """A page with all that there is to it: on a crowded machine meaning may be late once."""
    for _ in range(20):
        response = api.get(SEARCH, params={"q": q, **more})
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        if not found["degraded"]:
            return found
    raise AssertionError(f"always degraded: {found['degraded']}")


def found(api: httpx.Client, q: str, **more: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = page(api, q, **more)["items"]
    return items


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["document_id"] for item in items]


def added(admin: httpx.Client, key: str, text: str) -> str:
    job = ingested(admin, f"{key}.md", text.encode(), "text/markdown", key=f"search:{key}")
    assert job["state"] == "succeeded", job
    document_id: str = job["result"]["document_id"]
    return document_id


def from_source(installation: Installation, document_id: str, **columns: Any) -> None:
    """As if a source had brought it: who it is for, what it is, how far it is trusted, when it appeared."""
    published = columns.pop("published_at", None)

    async def change() -> None:
        database = Database(installation.env["DATABASE_URL"])
        async with database.transaction() as db:
            if columns:
                await db.execute(
                    sa.update(Document).where(Document.id == document_id).values(**columns)
                )
            if published:
                await db.execute(
                    sa.update(DocumentVersion)
                    .where(DocumentVersion.document_id == document_id)
                    .values(published_at=published)
                )
        await database.dispose()

    asyncio.run(change())


def test_a_search_finds_documents_each_with_its_best_passage(api: httpx.Client) -> None:
    items = found(api, "what does an ETF cost?")
    first = items[0]
    assert set(first) == {
        "document_id", "title", "url", "source", "published_at", "topic", "level", "type", "score", "passage",
    }  # fmt: skip
    assert first["type"] == "article"
    assert len(set(ids(items))) == len(items)
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    passage = api.get(f"/api/v1/content/passages/{first['passage']['passage_id']}").json()
    assert passage["document_id"] == first["document_id"]
    assert first["passage"]["text"].removeprefix("… ").removesuffix(" …") in passage["text"]


def test_filters_hold_for_topic_level_and_type(api: httpx.Client) -> None:
    everything = found(api, "risk", limit=50)
    for name in ("topic", "level", "type"):
        value = everything[0][name]
        assert {item[name] for item in found(api, "risk", **{name: value})} == {value}
    assert found(api, "risk", topic="no such topic") == []
    assert found(api, "risk", type="filing") == []
    assert found(api, "risk", topic="", level="", type="", cursor="", limit=50) == everything


def test_pages_follow_each_other_without_gaps_and_doubles(api: httpx.Client) -> None:
    whole = ids(found(api, "money", limit=9))
    read: list[str] = []
    cursor = None
    for _ in range(3):
        this = page(api, "money", limit=3, cursor=cursor)
        read += ids(this["items"])
        cursor = this["next_cursor"]
    assert read == whole


def test_what_is_for_adults_is_found_by_adults_only(
    api: httpx.Client, admin: httpx.Client, installation: Installation
) -> None:
    adults, teens = (
        added(admin, f"for-{who}", f"The Bilby {who} contract is explained here.")
        for who in ("margin", "pocket")
    )
    from_source(installation, adults, audience="adult")
    from_source(installation, teens, audience="teen")
    seen = {
        age: {adults, teens} & set(ids(found(api, "bilby contract", **age_of(age))))
        for age in (None, 12, 13, 17, 18, 40)
    }
    everybody: set[str] = set()
    assert seen == {
        None: everybody, 12: everybody, 13: {teens}, 17: {teens}, 18: {adults, teens}, 40: {adults, teens},
    }  # fmt: skip


def test_what_is_for_adults_is_quoted_to_adults_only(
    api: httpx.Client, admin: httpx.Client, installation: Installation
) -> None:
    text = "A Numbat contract is an agreement between two people about the price of a mine."
    document = added(admin, "numbat", text)
    from_source(installation, document, audience="adult")

    def cited(**context: int) -> bool:
        answer = asked(api, "What is a Numbat contract?", context=context)["result"]
        return document in [citation["document_id"] for citation in answer["citations"]]

    assert cited(age=40)
    assert not cited(age=16)
    assert not cited()


def age_of(age: int | None) -> dict[str, int]:
    return {} if age is None else {"age": age}


def test_of_two_copies_the_more_trusted_is_shown_and_other_numbers_are_no_copy(
    api: httpx.Client, admin: httpx.Client, installation: Installation
) -> None:
    text = (
        "The Potoroo fund charges its custody fee on the first working day of each quarter, and it takes the "
        "fee from the money account of the investor. Whoever sells within a year pays the fee for the year. "
    )
    copy = added(admin, "copy", text + "It is two percent.")
    official = added(admin, "official", text + "The fee is two percent.")
    other_year = added(admin, "year", text + "The fee is 3 percent.")
    from_source(installation, copy, trust="open")
    from_source(installation, official, trust="official")
    shown = {copy, official, other_year} & set(ids(found(api, "Potoroo fund custody fee")))
    assert shown == {official, other_year}


def test_old_news_stand_behind_new_news_and_articles_do_not_age(
    api: httpx.Client, admin: httpx.Client, installation: Installation
) -> None:
    words = "Dibbler rates rose, said the bank of {}, and Dibbler savers were glad."
    now = datetime.now(UTC)
    old, new, article = (
        added(admin, place, words.format(place)) for place in ("Avalon", "Caldera", "Jarrow")
    )
    from_source(installation, old, kind="news", published_at=now - timedelta(days=400))
    from_source(installation, new, kind="news", published_at=now - timedelta(hours=3))
    from_source(installation, article, published_at=now - timedelta(days=4000))
    order = [it for it in ids(found(api, "Dibbler rates")) if it in (old, new, article)]
    assert order[2] == old
    assert set(ids(found(api, "Dibbler rates", type="news"))) == {old, new}


# Whatever is typed is words: none of it is a command to a database or an index.
TYPED = {
    "only stop words": "what is the of and",
    "an emoji": "🦊🦊🦊",
    "Chinese": "什么是债券",
    "Arabic": "ما هو السند",
    "right to left marks": "\u202ebond\u202c",
    "control characters": "bond\x00\x07\x1b[2J\r\n interest",
    "SQL": "'; DROP TABLE documents; --",
    "SQL wildcards": "%_%",
    "an unclosed quote": '"bond',
    "parentheses": "((((bond",
    "a field": "document:doc_1 OR words:*",
    "a range": "number:[0 TO *}",
    "a regular expression": "/(a+)+$/",
    "a boost": "bond^99999999999999999999",
    "JSON": '{"$where": "sleep(1000)"}',
    "one letter": "x",
    "a very long word": "a" * 2000,
    "many words": "bond " * 400,
    "only marks": "̀́̂",
}


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED.keys())
def test_whatever_is_typed_is_searched_for_as_words(api: httpx.Client, typed: str) -> None:
    assert page(api, typed)["degraded"] == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(min_size=1, max_size=200))
def test_any_text_is_searched_for_or_is_empty(admin: httpx.Client, typed: str) -> None:
    response = admin.get(SEARCH, params={"q": typed})
    assert response.status_code in (200, 422), response.text
    if response.status_code == 422:
        assert not re.sub(r"[\x00-\x20\x7f-\x9f]", "", typed).split()


def test_operators_mean_nothing(api: httpx.Client, admin: httpx.Client) -> None:
    quoll = added(admin, "quoll", "A Quollwort account is an account for quollworts.")
    for typed in ("-quollwort", "NOT quollwort", "quollwort^0", "title:quollwort", '"quollwort', "+bond quollwort"):  # fmt: skip
        assert ids(found(api, typed))[0] == quoll, typed


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"q": ""}, "query/q"),
        ({"q": " \t\x00\u2028 "}, "query/q"),
        ({"q": "bond " * 2000}, "query/q"),
        ({"q": "bond", "limit": 0}, "query/limit"),
        ({"q": "bond", "limit": 51}, "query/limit"),
        ({"q": "bond", "limit": "many"}, "query/limit"),
        ({"q": "bond", "cursor": "-1"}, "query/cursor"),
        ({"q": "bond", "cursor": "doc_1"}, "query/cursor"),
        ({"q": "bond", "cursor": "٣"}, "query/cursor"),
        ({"q": "bond", "type": "poem"}, "query/type"),
        ({"q": "bond", "topic": "t" * 41}, "query/topic"),
        ({"q": "bond", "age": -1}, "query/age"),
    ],
)
def test_a_malformed_search_is_a_clear_problem(
    api: httpx.Client, params: dict[str, Any], pointer: str
) -> None:
    response = api.get(SEARCH, params=params)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    [fault] = response.json()["errors"]
    assert fault["pointer"] == pointer
    assert fault["detail"]


def test_a_search_without_a_query_says_what_is_missing(api: httpx.Client) -> None:
    response = api.get(SEARCH)
    assert response.status_code == 422
    assert "'q'" in response.json()["detail"]


def test_bytes_that_are_no_text_do_no_harm(api: httpx.Client) -> None:
    assert api.get(f"{SEARCH}?q=%ff%fe%00bond").status_code in (200, 422)


def test_search_needs_credentials(installation: Installation) -> None:
    with installation.client() as stranger:
        assert stranger.get(SEARCH, params={"q": "bond"}).status_code == 401
