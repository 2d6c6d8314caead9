"""A circuit breaker for a provider, its state in Redis for all processes to see."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

# This many failures in a row, each within a minute of the last, open it; one more after each pause.
_FAILURES, _REMEMBERED = 3, 60
_PAUSE = 30.0


class Open(msgspec.Struct, frozen=True):
    """The provider is left alone for some seconds more: `failures`, `quota`, `refused` or `rate_limit`."""

    why: str
    seconds: float


class Breaker:
    """Closed: the provider is asked. Open: it is not, until the pause is over. Without Redis it is closed."""

    def __init__(self, redis: Redis, provider: str) -> None:
        self._redis = redis
        self._open = f"breaker:{provider}:open"
        self._failures = f"breaker:{provider}:failures"

    async def state(self) -> Open | None:
        """None: closed."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(self._open)
                pipe.pttl(self._open)
                why, left = await pipe.execute()
        except (RedisError, OSError):
            return None
        if why is None:
            return None
        return Open(why.decode() if isinstance(why, bytes) else why, max(left, 0) / 1000)

    async def succeeded(self) -> None:
        """Forget the failures."""
        await self._quietly(self._redis.delete(self._failures))

    async def failed(self) -> bool:
        """Count a failure; whether it has opened the breaker."""
        try:
            async with self._redis.pipeline() as pipe:
                pipe.incr(self._failures)
                pipe.expire(self._failures, _REMEMBERED)
                count = (await pipe.execute())[0]
        except (RedisError, OSError):
            return False
        if count < _FAILURES:
            return False
        await self.open("failures", _PAUSE)
        return True

    async def open(self, why: str, seconds: float) -> None:
        """Leave the provider alone for a while."""
        log.warning("model provider left alone", extra={"why": why, "seconds": round(seconds)})
        await self._quietly(self._redis.set(self._open, why, px=int(seconds * 1000)))

    async def _quietly(self, step: object) -> None:
        try:
            await cast("Awaitable[object]", step)
        except (RedisError, OSError):
            log.warning("the breaker's state could not be kept")
