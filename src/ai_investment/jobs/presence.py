"""Which workers are there: each says so every few seconds under a key of its own that expires."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

_EVERY = 5
_EXPIRES = 15
_PREFIX = "present:"


async def announce(redis: Redis, name: str) -> None:
    """Run for the life of a worker. A key per process: a stopping sibling cannot hide us."""
    key = f"{_PREFIX}{name}:{socket.gethostname()}:{os.getpid()}"
    while True:
        try:
            await redis.set(key, "1", ex=_EXPIRES)
        except (RedisError, OSError) as cause:
            log.warning("cannot announce: %s", type(cause).__name__)
        await asyncio.sleep(_EVERY)


async def workers_present(redis: Redis) -> dict[str, int]:
    """Number of live processes by worker name."""
    present: dict[str, int] = {}
    async for key in redis.scan_iter(match=f"{_PREFIX}*", count=500):
        name = key.decode().split(":")[1]
        present[name] = present.get(name, 0) + 1
    return present
