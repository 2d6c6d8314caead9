"""Stores for one evaluation: a database and a Chroma server in a temporary folder, gone afterwards."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.minilm import MiniLM, load_minilm
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content.dense import LocalDense
from ai_investment.content.lexical import Follower
from ai_investment.content.vectors import VectorStoreUnavailable
from ai_investment.db import Database
from ai_investment.migrations.upgrade import upgrade
from ai_investment.processes import Child, chroma_command

_READY_SECONDS = 60
# A result without candidates by meaning is none: a slow machine gets its time.
_PATIENT_SECONDS = 30
_THREADS = 2


class CannotEvaluate(Exception):
    """The evaluation cannot be run; the text says why."""


@dataclass(frozen=True)
class Stores:
    """What the workers have, on stores of their own."""

    database: Database
    embedder: MiniLM
    vectors: ChromaVectors
    dense: LocalDense
    lexical: Follower


@asynccontextmanager
async def temporary_stores(model_cache: Path) -> AsyncIterator[Stores]:
    """Empty stores of the production kinds, with the real schema. Raises CannotEvaluate, also for what is done in them."""
    with tempfile.TemporaryDirectory(prefix="ai-investment-eval-") as name:
        folder = Path(name)
        embedder = await asyncio.to_thread(load_minilm, model_cache, threads=_THREADS)
        database = Database(f"sqlite:///{folder / 'eval.db'}")
        try:
            await upgrade(database)
            async with _chroma(folder) as url, ChromaVectors(url) as vectors:
                dense = LocalDense(database, embedder, vectors, seconds=_PATIENT_SECONDS)
                yield Stores(database, embedder, vectors, dense, Follower(TantivyIndex()))
        except VectorStoreUnavailable as cause:
            raise CannotEvaluate(f"the Chroma server does not answer ({cause})") from cause
        finally:
            await database.dispose()


@asynccontextmanager
async def _chroma(folder: Path) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "chroma.log"
    child = Child(
        "chroma",
        chroma_command(folder / "chroma", port),
        {"ANONYMIZED_TELEMETRY": "False"},
        log,
    )
    await child.start(lambda text, given_up: None)
    try:
        url = f"http://127.0.0.1:{port}"
        await _until_it_answers(url, child)
        yield url
    finally:
        await child.stop(10)


async def _until_it_answers(url: str, child: Child) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    async with httpx.AsyncClient(trust_env=False, timeout=3) as http:
        while time.monotonic() < deadline:
            try:
                if (await http.get(f"{url}/api/v2/heartbeat")).is_success:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
    raise CannotEvaluate(f"the Chroma server did not start:\n{child.tail()}")
