"""Any order of steps, with deaths in between: only live passages are found, and each finds itself."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ai_investment.adapters.redis import connect_redis
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content import reindex, revisions
from ai_investment.content.lexical import Follower
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from tests.content.index.machine import IndexMachine
from tests.content.index.process import Process
from tests.content.index.world import World
from tests.doubles.embedding import HashingEmbedder, MemoryVectors
from tests.services import RedisServer

EXAMPLES = int(os.environ.get("INDEX_EXAMPLES", "8"))
STEPS = 15


@pytest.mark.timeout(600 + 2 * EXAMPLES)  # to make a failure small takes minutes
def test_after_any_steps_what_is_live_is_found_and_nothing_else(
    migrated_sqlite: Path,
    tmp_path: Path,
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.CRITICAL, "ai_investment")
    # Some documents are several pages here, and each page several parts.
    monkeypatch.setattr(revisions, "_PAGE", 3)
    monkeypatch.setattr(reindex, "_PART", 3)
    with asyncio.Runner() as loop:
        redis = connect_redis(redis_server.url)
        numbers, opened = count(), list[Database]()

        async def new_world(store: MemoryVectors) -> World:
            path = shutil.copy(migrated_sqlite, tmp_path / f"{next(numbers)}.db")
            url = f"sqlite:///{path}"
            while opened:
                await opened.pop().dispose()
            processes = [
                Process(url, Bell(redis), HashingEmbedder(name, dimension, tokens_a_word=10), store)
                for name, dimension in (("one", 64), ("two", 96))
            ]
            opened.extend([Database(url), *(process.database for process in processes)])
            return World(opened[0], processes, Follower(TantivyIndex()), store)

        class Here(IndexMachine):
            pass

        Here.loop, Here.new_world = loop, staticmethod(new_world)
        try:
            run_state_machine_as_test(
                Here,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            for database in opened:
                loop.run(database.dispose())
            loop.run(redis.aclose())
