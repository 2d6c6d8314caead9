"""Indexing documents with the embeddings worker's job beside bare onnxruntime loops on the same texts.

    python -m benchmarks.embedding [--documents N] [--json]

The job's time has everything in it: reading the document, cutting it into passages, tokenising, embedding,
writing to Chroma and SQL. A loop does nothing but `session.run`, its batches tokenised and sorted by length
beforehand, in the fastest size of batch. All run in this process and take turns; the best round of each counts.

- the worker, with the two slots it has, beside the loop of one session as onnxruntime makes it: on all cores;
- one slot beside a loop on one thread, and two slots beside two such loops: what the rest of the work costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import sqlalchemy as sa

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.minilm import MiniLM, load_minilm
from ai_investment.adapters.redis import connect_redis
from ai_investment.content.jobs import index_document
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.revisions import lead_words, passage_words
from ai_investment.db import Database, db_now
from ai_investment.ids import new_id
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import claim
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.run import Runner
from ai_investment.migrations.upgrade import upgrade
from tests.doubles.library import library
from tests.services import ChromaServer, RedisServer

ROUNDS = 3
_BATCHES = (1, 8, 32)


class Use:
    def __init__(self, embedder: MiniLM, vectors: ChromaVectors) -> None:
        self.embedder, self.vectors = embedder, vectors


async def documents(database: Database, count: int) -> list[str]:
    """New documents of about 40 passages each, ready to be indexed."""
    words = list(library("http://localhost", pages=count * 30, pdfs=0).words.values())
    ids = []
    async with database.transaction() as db:
        for number in range(count):
            text = "\n\n".join(words[number * 30 : number * 30 + 30])
            document = Document(
                id=new_id("doc"),
                key=new_id("key"),
                source="Bench",
                created_at=db_now(),
                updated_at=db_now(),
            )
            version = DocumentVersion(
                id=new_id("ver"), document_id=document.id, number=1, state="extracted", name="a", object_key="0",
                title=f"Document {number}", text=text, headings=[], created_at=db_now(),
            )  # fmt: skip
            db.add(document)
            await db.flush()
            db.add(version)
            ids.append(version.id)
            await enqueue(db, None, index_document, version_id=version.id)
    return ids


async def indexed(database: Database, bell: Bell, use: Use, slots: int) -> float:
    """Seconds to run all waiting jobs, `slots` at once."""
    runner = Runner(database, bell, use)
    started = time.perf_counter()

    async def slot() -> None:
        while waiting := await claim(database, "embeddings", [index_document.name], 1):
            assert await runner.run(waiting[0]) == "succeeded"

    await asyncio.gather(*(slot() for _ in range(slots)))
    seconds = time.perf_counter() - started
    await runner.close()
    return seconds


async def texts_of(database: Database, versions: list[str]) -> list[str]:
    """What was embedded: every passage, and the beginning of every document that has several."""
    query = (
        sa.select(DocumentVersion.id, DocumentVersion.title, PassageRow.heading, PassageRow.text)
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .where(PassageRow.version_id.in_(versions))
    )
    beginnings = sa.select(DocumentVersion.id, DocumentVersion.title, DocumentVersion.text).where(
        DocumentVersion.id.in_(versions)
    )
    async with database.reading() as read:
        passages = (await read.execute(query)).all()
        count = Counter(row.id for row in passages)
        leads = [
            lead_words(row.title, row.text or "")
            for row in await read.execute(beginnings)
            if count[row.id] > 1
        ]
    return [*(passage_words(row.title, row.heading, row.text) for row in passages), *leads]


def bare(model: MiniLM, session: ort.InferenceSession, texts: list[str], at_once: int) -> float:
    """Seconds of nothing but `session.run`, so many loops at once, in batches of the fastest size."""
    return min(_in_batches(model, session, texts, at_once, size) for size in _BATCHES)


def _in_batches(
    model: MiniLM, session: ort.InferenceSession, texts: list[str], at_once: int, size: int
) -> float:
    ids = sorted((model._token_ids(text) for text in texts), key=len)
    batches = []
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        inputs = np.zeros((len(part), max(map(len, part))), dtype=np.int64)
        mask = np.zeros_like(inputs)
        for row, found in enumerate(part):
            inputs[row, : len(found)], mask[row, : len(found)] = found, 1
        batches.append({"input_ids": inputs, "attention_mask": mask})
    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda batch: session.run(["embedding"], batch), batches))
    return time.perf_counter() - started


async def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "chroma").mkdir()
        redis, chroma = RedisServer(folder), ChromaServer(folder / "chroma")
        client = connect_redis(redis.url)
        bell = Bell(client)
        database = Database(f"sqlite:///{folder}/bench.db", bell.publish)
        try:
            await upgrade(database)
            model = load_minilm(folder / "models")
            [graph] = (folder / "models").rglob("*.onnx")
            as_made = ort.InferenceSession(str(graph))
            async with ChromaVectors(chroma.url) as vectors:
                return await _rounds(database, bell, Use(model, vectors), as_made, count)
        finally:
            await client.aclose()
            await database.dispose()
            redis.process.kill()
            chroma.process.kill()


WORKER, ONE_SLOT = "the worker, two slots", "one slot"
LOOP = "bare loop, one session as onnxruntime makes it"
ON_ONE_THREAD = {1: "bare loop, one thread", 2: "two bare loops, one thread each"}
_SHARES = (
    (WORKER, LOOP),
    (ONE_SLOT, ON_ONE_THREAD[1]),
    (WORKER, ON_ONE_THREAD[2]),
)


async def _rounds(
    database: Database, bell: Bell, use: Use, as_made: ort.InferenceSession, count: int
) -> dict[str, Any]:
    best: dict[str, float] = {}

    def ran(name: str, texts: list[str], seconds: float) -> None:
        best[name] = max(best.get(name, 0), len(texts) / seconds)

    model = use.embedder
    await documents(database, 1)
    await indexed(database, bell, use, 1)
    for _ in range(ROUNDS):
        for slots, name in ((1, ONE_SLOT), (2, WORKER)):
            versions = await documents(database, count)
            seconds = await indexed(database, bell, use, slots)
            texts = await texts_of(database, versions)
            ran(name, texts, seconds)
            ran(ON_ONE_THREAD[slots], texts, bare(model, model._session, texts, slots))
        ran(LOOP, texts, bare(model, as_made, texts, 1))
    return {
        "passages": len(texts),
        "texts_per_second": {name: round(rate, 1) for name, rate in best.items()},
        "shares": [
            {"of": name, "in": loop, "share": round(best[name] / best[loop], 3)}
            for name, loop in _SHARES
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.documents))
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['passages']} passages a round")
    for name, rate in found["texts_per_second"].items():
        print(f"{name:48}{rate:>8} texts/s")
    for share in found["shares"]:
        print(f"{share['share']:>6.0%}  {share['of']} / {share['in']}")


if __name__ == "__main__":
    main()
