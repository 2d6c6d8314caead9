"""Candidates by meaning over Redis: in time or not at all, bounded, and never stopped by what somebody puts there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from ai_investment.adapters.redis import connect_redis
from ai_investment.content.dense import Dense, DenseUnavailable
from ai_investment.content.query import Question, Turn
from ai_investment.content.remote import RemoteDense, answer_searches
from ai_investment.content.vectors import Hit
from ai_investment.jobs.bell import Bell
from tests.services import RedisServer

ASKED = "dense:asked"


class Nearby:
    """A vector store in a few lines: the answer names what was asked; it can be slow or fail."""

    def __init__(self, *, seconds: float = 0, fails: Sequence[Exception] = ()) -> None:
        self.asked: list[Question] = []
        self._seconds = seconds
        self._fails = list(fails)

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        self.asked.append(question)
        await asyncio.sleep(self._seconds)
        if self._fails:
            raise self._fails.pop()
        return [Hit(f"{question.text}{n}", 1 - n / limit) for n in range(limit)]

    async def scores(self, question: Question, ids: Sequence[str]) -> list[Hit]:
        return [Hit(key, 0.5) for key in ids]


@asynccontextmanager
async def working(bell: Bell, dense: Dense) -> AsyncIterator[None]:
    task = asyncio.create_task(answer_searches(bell.redis, dense))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_was_asked_is_answered_with_the_conversation_before_it(bell: Bell) -> None:
    nearby, question = Nearby(), Question("pas", [Turn("What is an ETF?", mine=True)])
    async with working(bell, nearby):
        remote = RemoteDense(bell.redis, seconds=30)
        hits = await remote.nearest(question, 3)
        assert await remote.scores(question, ["a", "b"]) == [Hit("a", 0.5), Hit("b", 0.5)]
    assert hits == await Nearby().nearest(question, 3)
    assert [(it.text, list(it.earlier)) for it in nearby.asked] == [("pas", question.earlier)]


async def test_a_late_worker_finds_nothing_to_do_and_a_slow_one_is_not_waited_for(
    bell: Bell,
) -> None:
    remote, nearby = RemoteDense(bell.redis, seconds=0.5), Nearby(seconds=30)
    with pytest.raises(DenseUnavailable):
        await remote.nearest(Question("late"), 3)
    async with working(bell, nearby):
        start = time.monotonic()
        with pytest.raises(DenseUnavailable):
            await remote.nearest(Question("slow"), 3)
        assert time.monotonic() - start < 10
    assert "late" not in [it.text for it in nearby.asked]


async def test_a_store_that_fails_is_told_at_once_and_asked_again(bell: Bell) -> None:
    nearby = Nearby(fails=[RuntimeError("a fault of ours"), DenseUnavailable("away")])
    remote = RemoteDense(bell.redis, seconds=30)
    async with working(bell, nearby):
        start = time.monotonic()
        for _ in range(2):
            with pytest.raises(DenseUnavailable):
                await remote.nearest(Question("a"), 3)
        assert time.monotonic() - start < 20
        assert len(await remote.nearest(Question("b"), 3)) == 3


async def test_what_waits_is_bounded_and_rubbish_on_the_list_stops_nobody(
    bell: Bell, redis_server: RedisServer
) -> None:
    asking = connect_redis(redis_server.url, connections=8)
    remote = RemoteDense(asking, seconds=0.2)
    start = time.monotonic()
    outcomes = await asyncio.gather(
        *(remote.nearest(Question(str(n)), 3) for n in range(200)), return_exceptions=True
    )
    assert time.monotonic() - start < 10
    assert all(isinstance(it, DenseUnavailable) for it in outcomes)
    assert len(await bell.redis.lrange(ASKED, 0, -1)) <= 60  # type: ignore[misc]
    await bell.redis.set(f"{ASKED}:rubbish", b'{"question": 7}')
    await bell.redis.lpush(ASKED, "rubbish", b"\xff\x00")  # type: ignore[misc]
    async with working(bell, Nearby()):
        assert len(await RemoteDense(bell.redis, seconds=30).nearest(Question("a"), 3)) == 3
    await asking.aclose()
