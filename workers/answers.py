"""Answers: bound by the model's latency, so many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ai_investment.adapters.answerers import answerer_of
from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.minilm import load_minilm
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.answers.glossary import Glossary
from ai_investment.answers.models import Answerer
from ai_investment.answers.safety.classifier import Classifier
from ai_investment.answers.safety.gate import Gate
from ai_investment.chat.jobs import answer_message
from ai_investment.content.dense import LocalDense
from ai_investment.content.lexical import Follower
from ai_investment.content.remembering import Remembering
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import QueueWorker
from ai_investment.settings import Settings


@dataclass(frozen=True)
class Resources:
    dense: LocalDense
    lexical: Follower
    answerer: Answerer
    gate: Gate
    glossary: Glossary


@asynccontextmanager
async def resources(settings: Settings, database: Database, bell: Bell) -> AsyncIterator[Resources]:
    # Two threads: somebody waits for each answer.
    embedder = Remembering(load_minilm(settings.model_cache, threads=2))
    gate = Gate(Classifier(embedder))
    # What is read and compiled at the first use is so before the first person waits for it.
    await asyncio.to_thread(gate.screen, "What is a share?")
    async with (
        ChromaVectors(settings.chroma_url) as vectors,
        answerer_of(settings, embedder, database, bell.redis) as answerer,
    ):
        await vectors.load()
        lexical = Follower(TantivyIndex())
        await lexical.catch_up(database)
        dense = LocalDense(database, embedder, vectors)
        yield Resources(dense, lexical, answerer, gate, Glossary(database))


def build(settings: Settings, database: Database, bell: Bell) -> QueueWorker:
    return QueueWorker(
        "answers",
        [answer_message],
        database,
        bell,
        partial(resources, settings, database, bell),
        max_jobs=10,
    )
