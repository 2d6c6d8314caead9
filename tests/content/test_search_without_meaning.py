"""An installation of its own: empty at first, then with a vector store that lies, hangs and dies, and deleted documents."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.minilm import load_minilm
from ai_investment.content.models import VectorCollection
from ai_investment.db import Database
from tests.conftest import installed
from tests.installation import Installation, asked, ingested
from tests.services import ChromaServer, Process, RedisServer

CASES = Path(__file__).parent.parent / "cases"
DELETED = CASES / "rag-deleted-doc"
QUESTION = (DELETED / "question.txt").read_text("utf-8").strip()


@dataclass
class Ground:
    installation: Installation
    chroma: ChromaServer
    redis: RedisServer
    admin: httpx.Client

    def search(self, q: str) -> tuple[list[dict[str, Any]], list[str], float]:
        """Items, what is degraded, and how many seconds it took."""
        start = time.monotonic()
        response = self.admin.get("/api/v1/content/search", params={"q": q})
        assert response.status_code == 200, response.text
        page = response.json()
        return page["items"], page["degraded"], time.monotonic() - start

    def search_all(self, q: str) -> list[dict[str, Any]]:
        """Items by meaning and words: on a crowded machine meaning may be late once."""
        for _ in range(20):
            items, degraded, _ = self.search(q)
            if not degraded:
                return items
        raise AssertionError(f"always degraded: {degraded}")

    def add(self, name: str) -> str:
        job = ingested(self.admin, name, (DELETED / name).read_bytes(), "text/markdown", key=name)
        document_id: str = job["result"]["document_id"]
        return document_id


@pytest.fixture(scope="module")
def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    running = installed("sqlite", request, folder, "api", "answers", "embeddings", "pipeline")
    with (
        running as (installation, redis, chroma),
        installation.client(installation.key("admin")) as admin,
    ):
        yield Ground(installation, chroma, redis, admin)


@pytest.fixture(scope="module")
def filled(ground: Ground) -> Ground:
    """With the two documents of the case."""
    ground.add("a.md")
    ground.add("b.md")
    return ground


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


def test_from_an_empty_library_nothing_is_found_and_nothing_is_said(ground: Ground) -> None:
    expected = json.loads((CASES / "rag-empty-retrieval" / "expected.json").read_text("utf-8"))
    questions = (CASES / "rag-empty-retrieval" / "questions.txt").read_text("utf-8")
    for question in questions.splitlines():
        assert ground.search_all(question) == []
        answer = asked(ground.admin, question)["result"]
        assert answer["outcome"] == "abstained"
        assert len(answer["citations"]) == expected["citations"]
        assert not [word for word in expected["must_not_contain"] if word in answer["text"]]


def test_a_deleted_document_is_in_no_search_and_no_answer_and_comes_back_once(
    filled: Ground,
) -> None:
    expected = json.loads((DELETED / "expected.json").read_text("utf-8"))
    before = asked(filled.admin, QUESTION)["result"]
    assert "7.77" in before["text"]
    a = before["citations"][0]["document_id"]
    assert filled.search_all(QUESTION)[0]["document_id"] == a
    assert filled.admin.delete(f"/api/v1/content/documents/{a}").status_code == 204
    with_meaning = filled.search_all(QUESTION)
    with frozen(filled.installation.processes["embeddings"]):
        by_words, degraded, _ = filled.search(QUESTION)
    assert degraded == ["dense"]
    for items in (with_meaning, by_words):
        assert a not in [item["document_id"] for item in items]
        assert not [item for item in items if "7.77" in item["passage"]["text"]]
    after = asked(filled.admin, QUESTION)["result"]
    cited = [citation["document_id"] for citation in after["citations"]]
    assert ("7.77" in after["text"]) == expected["after_delete"]["contains_7.77"]
    assert cited.count(a) == expected["after_delete"]["citations_to_a"]
    assert "4.90" in asked(filled.admin, "What does a buy order in the Nordwind depot cost?")["result"]["text"]  # fmt: skip
    filled.add("a.md")
    again = asked(filled.admin, QUESTION)["result"]
    assert ("7.77" in again["text"]) == expected["after_reupload"]["contains_7.77"]
    holding = [item for item in filled.search_all(QUESTION) if "7.77" in item["passage"]["text"]]
    assert len(holding) == 1


def test_what_nothing_is_about_finds_nothing(filled: Ground) -> None:
    for typed in ("🦊🦊🦊", "what is the of and", "asdf qwer zxcv", "!!!"):
        assert filled.search_all(typed) == []


async def test_ids_that_sql_does_not_know_crowd_out_nothing(filled: Ground, models: Path) -> None:
    env = filled.installation.env
    vector = load_minilm(models).embed([QUESTION])
    database = Database(env["DATABASE_URL"])
    async with database.reading() as read:
        collection = (await read.execute(sa.select(VectorCollection.name))).scalar_one()
    await database.dispose()
    foreign = [f"pas_{number:032}" for number in range(250)]
    async with ChromaVectors(env["CHROMA_URL"]) as vectors:
        for start in range(0, len(foreign), 50):
            part = foreign[start : start + 50]
            await vectors.upsert(collection, part, np.repeat(vector, len(part), axis=0))
        items = filled.search_all(QUESTION)
        await vectors.delete(collection, foreign)
    assert "7.77" in items[0]["passage"]["text"]


def test_a_hanging_vector_store_costs_a_search_little_and_an_answer_not_much(
    filled: Ground,
) -> None:
    with frozen(filled.chroma.process):
        items, degraded, seconds = filled.search(QUESTION)
        answer = asked(filled.admin, QUESTION)["result"]
    assert degraded == ["dense"]
    assert "7.77" in items[0]["passage"]["text"]
    assert seconds < 3
    assert answer["degraded"] == ["dense"]
    assert "7.77" in answer["text"]
    assert answer["timings_ms"]["retrieval"] < 4000
    assert filled.search_all(QUESTION)


def test_requests_nobody_waits_for_any_more_are_dropped(filled: Ground) -> None:
    with frozen(filled.installation.processes["embeddings"]):
        for _ in range(3):
            _, degraded, seconds = filled.search(QUESTION)
            assert degraded == ["dense"]
            assert seconds < 3
        assert len(filled.redis.client().lrange("dense:asked", 0, -1)) <= 3  # type: ignore[arg-type]
        time.sleep(0.4)
        assert not list(filled.redis.client().scan_iter("dense:asked:*"))
    assert filled.search_all(QUESTION)
    assert not list(filled.redis.client().scan_iter("dense:asked:*"))


def test_without_redis_words_are_still_found(filled: Ground) -> None:
    filled.redis.process.kill()
    items, degraded, seconds = filled.search(QUESTION)
    filled.redis.start()
    assert degraded == ["dense"]
    assert "7.77" in items[0]["passage"]["text"]
    assert seconds < 3


def test_without_a_vector_store_searches_and_answers_are_by_words_and_say_so(
    filled: Ground,
) -> None:
    filled.chroma.process.kill()
    items, degraded, _ = filled.search(QUESTION)
    assert degraded == ["dense"]
    assert "7.77" in items[0]["passage"]["text"]
    answer = asked(filled.admin, QUESTION)["result"]
    assert answer["degraded"] == ["dense"]
    assert "7.77" in answer["text"]
    nothing_about_it = asked(filled.admin, "How do I change the oil in a diesel engine?")["result"]
    assert nothing_about_it["outcome"] == "abstained"
