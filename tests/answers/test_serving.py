"""Quotations in place of a model that is out of reach, spent or unwilling: people are served."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ai_investment.adapters.minilm import load_minilm
from ai_investment.answers.breaker import Breaker
from ai_investment.answers.budget import Budget, Limits, spent_today
from ai_investment.answers.errors import ProviderQuota, ProviderUnavailable
from ai_investment.answers.models import Reader, Rewriting, Statement, Switched, Usage
from ai_investment.answers.quoting import QuotingAnswerer
from ai_investment.answers.serving import ServingAnswerer
from ai_investment.content.query import Turn
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.errors import Later
from tests.adapters.answering import ETF, FIRST, KEY, PASSAGES, QUESTION, answering, reply_json
from tests.doubles.openai_server import (
    DONE,
    OpenAIServer,
    Reply,
    chunk,
    event,
    failing,
    streamed,
)

GOOD = streamed(reply_json(FIRST))
DOWN = failing(503, {"error": {"message": "overloaded"}})
READER = Reader("usr_1", 15)
TURNS = [Turn(QUESTION, mine=True), Turn(ETF, mine=False)]
ALONE = "What does an ETF cost?"
WRITTEN = streamed(json.dumps({"question": ALONE}))


class Served:
    """A serving answerer over a scripted provider."""

    def __init__(self, answerer: ServingAnswerer, server: OpenAIServer, breaker: Breaker) -> None:
        self.answerer, self.server, self.breaker = answerer, server, breaker

    async def ask(self) -> list[Any]:
        return [item async for item in self.answerer.compose(QUESTION, PASSAGES, READER)]

    async def rewrite(self) -> Rewriting | None:
        return await self.answerer.rewrite("What does it cost?", TURNS, READER)

    async def ask_for_quotations(self, why: str) -> None:
        switched, *items = await self.ask()
        assert switched == Switched(QuotingAnswerer.model, why)
        assert next(item.text for item in items if isinstance(item, Statement)) == ETF


@asynccontextmanager
async def serving(
    bell: Bell, database: Database, models: Path, *replies: Reply, tokens: int = 10**6
) -> AsyncIterator[Served]:
    async with answering(*replies) as (writer, server):
        breaker = Breaker(bell.redis, "openai")
        budget = Budget(database, Limits(tokens, tokens, Decimal(1)))
        quoting = QuotingAnswerer(load_minilm(models))
        answerer = ServingAnswerer(writer, quoting, breaker, budget, rewriting_seconds=0.5)
        yield Served(answerer, server, breaker)


async def test_the_model_answers_and_its_use_is_settled(
    bell: Bell, database: Database, models: Path
) -> None:
    async with serving(bell, database, models, GOOD) as served:
        [written, usage] = await served.ask()
        assert written.text == FIRST["text"]
        assert usage == Usage(100, 20)
        async with database.reading() as read:
            assert await spent_today(read) == (120, Decimal(0))


async def test_over_budget_the_model_is_not_asked_and_people_get_quotations(
    bell: Bell, database: Database, models: Path
) -> None:
    async with serving(bell, database, models, GOOD, tokens=100) as served:
        await served.ask_for_quotations("budget")
        assert served.server.received == []


async def test_after_failures_in_a_row_the_provider_is_left_alone_for_a_while(
    bell: Bell, database: Database, models: Path
) -> None:
    async with serving(bell, database, models, DOWN) as served:
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await served.ask()
        await served.ask_for_quotations("ai_services")  # the failure that opens it is bridged too
        await served.ask_for_quotations("ai_services")
        assert len(served.server.received) == 3
        state = await served.breaker.state()
        assert state
        assert (state.why, 0 < state.seconds <= 30) == ("failures", True)


async def test_a_success_closes_the_breaker_and_a_failure_after_the_pause_opens_it_again(
    bell: Bell, database: Database, models: Path
) -> None:
    async with serving(bell, database, models, DOWN, DOWN, DOWN, DOWN, GOOD, DOWN) as served:
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await served.ask()
        await served.ask_for_quotations("ai_services")
        await bell.redis.delete("breaker:openai:open")  # the pause is over
        await served.ask_for_quotations("ai_services")
        await bell.redis.delete("breaker:openai:open")
        assert (await served.ask())[0].text == FIRST["text"]
        with pytest.raises(ProviderUnavailable):
            await served.ask()


async def test_a_spent_quota_fails_once_and_is_quoted_around_afterwards(
    bell: Bell, database: Database, models: Path
) -> None:
    quota = failing(429, {"error": {"message": "spent", "code": "insufficient_quota"}})
    async with serving(bell, database, models, quota) as served:
        with pytest.raises(ProviderQuota):
            await served.ask()
        await served.ask_for_quotations("ai_services")
        assert len(served.server.received) == 1


async def test_a_short_rate_limit_is_waited_out_and_a_long_one_is_not(
    bell: Bell, database: Database, models: Path
) -> None:
    limited = {"error": {"message": "slow", "code": "rate_limit_exceeded"}}
    short, long = (failing(429, limited, {"Retry-After": wait}) for wait in ("4", "250"))
    async with serving(bell, database, models, short, long) as served:
        with pytest.raises(Later):
            await served.ask()
        await served.ask_for_quotations("ai_services")


async def test_a_filter_of_the_provider_does_not_leave_the_reader_without_an_answer(
    bell: Bell, database: Database, models: Path
) -> None:
    filtered = Reply([chunk("{"), chunk(finish="content_filter"), DONE])
    async with serving(bell, database, models, filtered) as served:
        await served.ask_for_quotations("model_refused")
        assert await served.breaker.state() is None


async def test_what_breaks_after_a_statement_was_shown_is_tried_again_and_not_mixed_with_quotations(
    bell: Bell, database: Database, models: Path
) -> None:
    broken = Reply([chunk(reply_json(FIRST)[:-2]), event({"error": {"message": "overloaded"}})])
    async with serving(bell, database, models, broken) as served:
        for _ in range(4):
            with pytest.raises(ProviderUnavailable):
                await served.ask()
            await bell.redis.delete("breaker:openai:open")


async def test_without_redis_the_provider_is_asked(database: Database, models: Path) -> None:
    nowhere = Redis(port=1)
    async with serving(Bell(nowhere), database, models, GOOD) as served:
        assert (await served.ask())[0].text == FIRST["text"]
        assert not await served.breaker.failed()
    await nowhere.aclose()


async def test_a_follow_up_is_written_anew_and_that_is_settled(
    bell: Bell, database: Database, models: Path
) -> None:
    async with serving(bell, database, models, WRITTEN) as served:
        assert await served.rewrite() == Rewriting(ALONE, Usage(100, 20))
        async with database.reading() as read:
            assert await spent_today(read) == (120, Decimal(0))


@pytest.mark.parametrize("tokens", [100, 10**6])
async def test_nobody_is_asked_for_a_rewriting_over_budget_or_while_the_breaker_is_open(
    bell: Bell, database: Database, models: Path, tokens: int
) -> None:
    async with serving(bell, database, models, WRITTEN, tokens=tokens) as served:
        if tokens > 100:
            await served.breaker.open("failures", 30)
        assert await served.rewrite() is None
        assert served.server.received == []


LIMITED = {"error": {"message": f"slow, {KEY}", "code": "rate_limit_exceeded"}}


@pytest.mark.parametrize(
    "reply",
    [
        Reply([asyncio.Event()]),
        Reply([chunk(" "), 0.05] * 200),
        DOWN,
        failing(401, {"error": {"message": f"Incorrect API key {KEY}"}}),
        failing(429, LIMITED, {"Retry-After": "200"}),
        failing(429, {"error": {"message": "spent", "code": "insufficient_quota"}}),
        Reply([chunk("{"), chunk(finish="content_filter"), DONE]),
        streamed('{"question": "What does'),
        streamed("What does an ETF cost?"),
        streamed(json.dumps({"question": "a" * 5000})),
    ],
    ids=[
        *("hangs", "trickles", "away", "refused", "limited"),
        *("spent", "filter", "cut", "prose", "endless"),
    ],
)
async def test_a_rewriting_that_fails_is_none_in_time_and_spoils_no_answer(
    bell: Bell,
    database: Database,
    models: Path,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(bell, database, models, reply, reply, reply, GOOD) as served:
        for _ in range(3):
            started = time.monotonic()
            assert await served.rewrite() is None
            assert time.monotonic() - started < 2
        # The provider is still asked for the answer, and what was reserved counts.
        assert (await served.ask())[0].text == FIRST["text"]
        async with database.reading() as read:
            assert (await spent_today(read))[0] > 120
    assert all(KEY not in repr(vars(record)) for record in caplog.records)
