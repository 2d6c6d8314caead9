"""Candidates by meaning, asked of the embeddings worker: a list of requests in Redis, and a list for each reply.

A request lives in Redis for as long as its asker waits and not longer: a worker that comes late finds nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import cast
from uuid import uuid4

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ai_investment.content.dense import Dense, DenseUnavailable
from ai_investment.content.query import Question
from ai_investment.content.vectors import Hit

log = logging.getLogger(__name__)

BUDGET = 0.3
"""Seconds that a search waits for candidates by meaning."""
_ASKED = "dense:asked"
# Beyond so many the oldest are given up: at 10 ms each they could not be answered in time.
_WAITING = 60
_READ_WITHIN_MS = 1000
_LISTEN_SECONDS = 1.0


class _Asked(msgspec.Struct, frozen=True):
    """What is nearest, or with `ids` how near these are."""

    question: Question
    limit: int = 0
    ids: list[str] = []


class RemoteDense:
    """`Dense` without a model and a vector store in this process."""

    def __init__(self, redis: Redis, *, seconds: float = BUDGET) -> None:
        self._redis = redis
        self._seconds = seconds

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        return await self._hits(_Asked(question, limit))

    async def scores(self, question: Question, ids: Sequence[str]) -> list[Hit]:
        return await self._hits(_Asked(question, ids=list(ids)))

    async def _hits(self, asked: _Asked) -> list[Hit]:
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._ask(asked)
        except (RedisError, OSError) as cause:
            raise DenseUnavailable(type(cause).__name__) from cause
        hits = msgspec.json.decode(reply, type=list[Hit] | None) if reply else None
        if hits is None:
            raise DenseUnavailable("the embeddings worker has no vector store" if reply else "late")
        return hits

    async def _ask(self, asked: _Asked) -> bytes | None:
        key = uuid4().hex.encode()
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(_request_key(key), msgspec.json.encode(asked), px=int(self._seconds * 1000))
        pipe.lpush(_ASKED, key)
        pipe.ltrim(_ASKED, 0, _WAITING - 1)
        await pipe.execute()
        reply = await self._redis.blpop([_reply_key(key)], timeout=self._seconds)  # type: ignore[arg-type, misc]
        return cast("bytes", reply[1]) if reply else None


async def answer_searches(redis: Redis, dense: Dense, *, at_once: int = 2) -> None:
    """Answer what `RemoteDense` asks, oldest first, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(_answer_one_by_one(redis, dense))


async def _answer_one_by_one(redis: Redis, dense: Dense) -> None:
    while True:
        try:
            taken = await redis.brpop([_ASKED], timeout=_LISTEN_SECONDS)  # type: ignore[arg-type, misc]
            key: bytes | None = taken[1] if taken else None
            if key and (asked := await redis.getdel(_request_key(key))):
                reply = msgspec.json.encode(await _hits(dense, asked))
                pipe = redis.pipeline(transaction=False)
                pipe.lpush(_reply_key(key), reply)  # type: ignore[arg-type]
                pipe.pexpire(_reply_key(key), _READ_WITHIN_MS)
                await pipe.execute()
        except (RedisError, OSError) as cause:
            log.warning("no searches heard: %s; again in 1 s", type(cause).__name__)
            await asyncio.sleep(1)


async def _hits(dense: Dense, asked: bytes) -> list[Hit] | None:
    """None: it cannot be told, and the asker need not wait."""
    try:
        wanted = msgspec.json.decode(asked, type=_Asked)
        if wanted.ids:
            return await dense.scores(wanted.question, wanted.ids)
        return await dense.nearest(wanted.question, wanted.limit)
    except Exception as cause:
        log.warning("a search without candidates by meaning: %s", type(cause).__name__)
        return None


def _request_key(key: bytes) -> bytes:
    return b"%s:%s" % (_ASKED.encode(), key)


def _reply_key(key: bytes) -> bytes:
    return b"%s:%s:reply" % (_ASKED.encode(), key)
