"""`python -m benchmarks.search`: how long retrieval takes on this machine, query embedding included."""

from __future__ import annotations

import asyncio
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np
import sqlalchemy as sa

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.minilm import load_minilm
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content.dense import LocalDense
from ai_investment.content.find import find_passages
from ai_investment.content.indexing import mark_seen
from ai_investment.content.lexical import Follower
from ai_investment.content.models import Document, DocumentVersion, PassageRow, VectorCollection
from ai_investment.content.query import Question
from ai_investment.content.ranking import Filters
from ai_investment.content.remembering import Remembering
from ai_investment.content.revisions import next_revision
from ai_investment.content.vectors import ensure_serving_collection
from ai_investment.db import Database, db_now
from tests.installation import Installation
from tests.services import ChromaServer, RedisServer

_LIBRARY = Path(__file__).parents[2] / "src/ai_investment/content/library"
_A_DOCUMENT = 10
_DOCUMENTS_AT_ONCE = 50
_BETWEEN = "\n"
_WARM = 20  # searches that are not counted
_RARE = 50  # one document in so many has the topic that a search is narrowed to


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--passages", type=click.IntRange(200), default=5000, show_default=True)
@click.option("--searches", type=click.IntRange(20), default=300, show_default=True)
def main(path: Path | None, passages: int, searches: int) -> None:
    """Retrieval as the answers worker does it, and searches over HTTP, one after the other, each with words
    of its own; and the memory of who answers them.

    The passages are sentences of the starter library in new order; a vector is the mean of its sentences'.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-search-") as name,
        _installed(Path(name)) as installation,
    ):
        asyncio.run(_fill(installation.env, passages))
        retrieved = asyncio.run(_retrieved(installation.env, searches))
        installation.start("api", "embeddings")
        with installation.client(installation.key()) as client:
            start = time.monotonic()
            while client.get("/api/v1/content/search", params={"q": "warm"}).json()["degraded"]:
                time.sleep(0.2)
            figures: dict[str, Any] = {
                "passages": passages,
                **retrieved,
                "words_indexed_after_s": round(time.monotonic() - start, 1),
            }
            figures |= _searched(client, "search", searches, {})
            figures |= _searched(client, "narrowed", searches // 5, {"topic": "rare"})
        for process in ("api", "embeddings"):
            figures[f"{process}_rss_mb"] = _memory(installation, process)
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        click.echo(f"{name:28} {value}")


@contextmanager
def _installed(folder: Path) -> Iterator[Installation]:
    redis, chroma = RedisServer(folder), ChromaServer(folder)
    (folder / "data").mkdir()
    env = {
        "DATABASE_URL": f"sqlite:///{folder / 'bench.db'}",
        "REDIS_URL": redis.url,
        "CHROMA_URL": chroma.url,
        "AI_INVESTMENT_DATA_DIRECTORY": str(folder / "data"),
        "SECRET_KEY": "a-secret-for-benchmarks-that-is-long",
        "JWT_SECRET_KEY": "another-secret-for-benchmarks-long",
    }
    installation = Installation(folder, env)
    try:
        installation.cli("db", "upgrade")
        yield installation
    finally:
        installation.stop()
        chroma.process.kill()
        redis.process.kill()


def _sentences() -> list[str]:
    texts = [path.read_text("utf-8") for path in sorted(_LIBRARY.glob("*.md"))]
    return [
        found
        for text in texts
        for found in re.split(r"(?<=[.!?])\s+|\n+", text.split("---", 2)[-1])
        if len(found) > 30
    ]


async def _fill(env: dict[str, str], passages: int) -> None:
    dice, sentences = random.Random(7), _sentences()
    database = Database(env["DATABASE_URL"])
    embedder = load_minilm(Path(env["AI_INVESTMENT_DATA_DIRECTORY"]) / "models")
    vector_of = dict(zip(sentences, embedder.embed(sentences), strict=True))
    async with database.transaction() as db:
        collection = await ensure_serving_collection(db, embedder)
    count = passages // _A_DOCUMENT
    async with ChromaVectors(env["CHROMA_URL"]) as vectors:
        for first in range(0, count, _DOCUMENTS_AT_ONCE):
            rows = _rows(range(first, min(first + _DOCUMENTS_AT_ONCE, count)), dice, sentences)
            means = np.stack(
                [
                    np.mean([vector_of[it] for it in row["text"].split(_BETWEEN)], axis=0)
                    for row in rows[2]
                ]
            )
            await vectors.upsert(collection, [row["id"] for row in rows[2]], means)
            async with database.transaction() as db:
                revision = await next_revision(db)
                for table, values in zip(
                    (Document, DocumentVersion, PassageRow), rows, strict=True
                ):
                    extra = (
                        {"revision": revision, "updated_at": db_now()} if table is Document else {}
                    )
                    made = {} if table is PassageRow else {"created_at": db_now()}
                    await db.execute(sa.insert(table).values(**extra, **made), values)
                # Its vectors are written: the worker has nothing to embed when it starts.
                await mark_seen(db, revision, VectorCollection.name == collection)
    await database.dispose()


def _rows(
    numbers: range, dice: random.Random, sentences: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    documents, versions, passages = [], [], []
    for number in numbers:
        key, version = f"doc_{number:08}", f"ver_{number:08}"
        documents.append({"id": key, "key": key, "source": "bench", "live_version_id": version})
        versions.append(
            {"id": version, "document_id": key, "number": 1, "state": "indexed", "name": key, "object_key": key,
             "title": f"Notes {number}", "text": "", "topic": "rare" if number % _RARE == 0 else "common"}
        )  # fmt: skip
        passages += [
            {"id": f"pas_{number:08}_{place}", "version_id": version, "position": place, "start": 0, "end": 1,
             "heading": None, "text": _BETWEEN.join(dice.choices(sentences, k=8))}
            for place in range(_A_DOCUMENT)
        ]  # fmt: skip
    return documents, versions, passages


async def _retrieved(env: dict[str, str], searches: int) -> dict[str, Any]:
    """Passages for an answer, found in one process: model, words and shaping here, two stores beside it."""
    database = Database(env["DATABASE_URL"])
    model = load_minilm(Path(env["AI_INVESTMENT_DATA_DIRECTORY"]) / "models", threads=2)
    lexical = Follower(TantivyIndex())
    await lexical.catch_up(database)
    taken, degraded, found = [], 0, 0
    async with ChromaVectors(env["CHROMA_URL"]) as vectors:
        dense = LocalDense(database, Remembering(model), vectors)
        for number, query in enumerate(_queries(_WARM + searches, seed=13)):
            start = time.perf_counter()
            answer = await find_passages(
                database, dense, lexical, Question(query), filters=Filters(age=30)
            )
            if number >= _WARM:
                taken.append((time.perf_counter() - start) * 1000)
                degraded += bool(answer.degraded)
                found += len(answer.passages)
    await database.dispose()
    return _figures("retrieval", taken, degraded, found)


def _searched(
    client: httpx.Client, name: str, searches: int, narrowed: dict[str, str]
) -> dict[str, Any]:
    taken, degraded, found = [], 0, 0
    for query in _queries(searches, seed=11):
        start = time.perf_counter()
        page = client.get("/api/v1/content/search", params={"q": query, **narrowed}).json()
        taken.append((time.perf_counter() - start) * 1000)
        degraded += bool(page["degraded"])
        found += len(page["items"])
    return _figures(name, taken, degraded, found)


def _queries(count: int, *, seed: int) -> Iterator[str]:
    """No two are alike, so that nothing is remembered."""
    dice = random.Random(seed)
    words = sorted({word for text in _sentences() for word in text.split()})
    for number in range(count):
        yield f"{' '.join(dice.choices(words, k=6))} {number}"


def _figures(name: str, taken: list[float], degraded: int, found: int) -> dict[str, Any]:
    taken.sort()
    return {
        f"{name}_p50_ms": round(statistics.median(taken), 1),
        f"{name}_p95_ms": round(taken[int(len(taken) * 0.95)], 1),
        f"{name}_degraded": degraded,
        f"{name}_items": round(found / len(taken), 1),
    }


def _memory(installation: Installation, process: str) -> int:
    """Resident megabytes of the process and its children."""
    leader = installation.processes[process].popen.pid
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(stat.read_text().rsplit(")", 1)[1].split()[3])
            if session == leader:
                status = stat.with_name("status").read_text()
                total += int(re.findall(r"VmRSS:\s+(\d+)", status)[0])
        except (OSError, IndexError):
            continue  # it has ended meanwhile
    return round(total / 1000)


if __name__ == "__main__":
    main()
