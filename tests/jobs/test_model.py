"""Any order of steps: the engine and a model of it agree after each, on both databases."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ai_investment.adapters.redis import connect_redis
from ai_investment.jobs.bell import Bell
from tests.jobs.model.machine import EngineMachine
from tests.jobs.model.stage import Stage
from tests.services import RedisServer

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "25"))


@pytest.mark.timeout(600 + 2 * EXAMPLES)  # to make a failure small takes minutes
def test_the_engine_does_what_its_model_does(
    database_url: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "ai_investment")
    with asyncio.Runner() as loop:
        redis = connect_redis(redis_server.url)

        class Here(EngineMachine):
            stage = Stage(database_url, Bell(redis), loop)

        try:
            run_state_machine_as_test(
                Here,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            loop.run(Here.stage.database.dispose())
            loop.run(redis.aclose())
