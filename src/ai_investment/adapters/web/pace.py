"""How fast a host is asked: one count over all processes, kept in Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis

from ai_investment.content.sources.fetching import Busy

# Longer than a request may take: a process that died gives its place back then.
_LEASE_MS = 150_000
_LONGEST_WAIT = 60.0
_HOLD_FIRST, _HOLD_MOST = 15.0, 600.0

# Takes a place among those who ask the host now, and the next free moment to ask it at. Redis's clock
# is the only one. Answers {0, ms until that moment}, {1, ms until it is worth asking again} while all
# places are taken, or {2, ms} while the host is left alone.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hold = tonumber(redis.call('GET', KEYS[3]) or '0')
if hold > now then return {2, hold - now} end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return {1, 50} end
local at = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0'))
redis.call('SET', KEYS[2], at + ARGV[2], 'PX', at - now + ARGV[2] + 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {0, at - now}
"""
# Leaves the host alone for a time that doubles with each strike within an hour.
_HOLD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local strikes = redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], 3600)
local wait = math.min(ARGV[1] * 2 ^ (strikes - 1), tonumber(ARGV[2]))
wait = math.floor(math.max(wait, tonumber(ARGV[3])))
redis.call('SET', KEYS[1], now + wait, 'PX', wait)
return wait
"""


class Tempo(msgspec.Struct, frozen=True):
    """`interval` seconds from one request to the next, `at_once` requests under way."""

    interval: float
    at_once: int


POLITE = Tempo(interval=0.25, at_once=2)
# Hosts of the operator's own network, opened by name.
OWN = Tempo(interval=0.005, at_once=4)
# The SEC allows 10 requests a second. Seven moments in any second, and at most two late ones from
# processes that were held up: never more than ten.
SEC = Tempo(interval=1 / 6.9, at_once=2)


class Pace:
    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis
        self._take = self._redis.register_script(_TAKE)
        self._hold = self._redis.register_script(_HOLD)

    @asynccontextmanager
    async def turn(self, host: str, tempo: Tempo) -> AsyncIterator[None]:
        """The block asks the host once, when it is its turn. Raises Busy when that is not soon."""
        token = secrets.token_hex(8)
        await self._wait(host, tempo, token)
        try:
            yield
        finally:
            await asyncio.shield(self._redis.zrem(_key(host, "busy"), token))

    async def hold(self, host: str, at_least: float) -> float:
        """Leave a host alone that refused us; returns for how many seconds. `at_least`: what it asked for."""
        keys = [_key(host, "hold"), _key(host, "strikes")]
        arguments = [_HOLD_FIRST * 1000, _HOLD_MOST * 1000, min(at_least, 3600) * 1000]
        return int(await self._hold(keys=keys, args=arguments)) / 1000

    async def _wait(self, host: str, tempo: Tempo, token: str) -> None:
        keys = [_key(host, "busy"), _key(host, "next"), _key(host, "hold")]
        arguments: list[str | int] = [
            token,
            max(1, round(tempo.interval * 1000)),
            tempo.at_once,
            _LEASE_MS,
        ]
        waited = 0.0
        while waited < _LONGEST_WAIT:
            verdict, ms = await self._take(keys=keys, args=arguments)
            seconds = int(ms) / 1000
            if verdict == 2:
                raise Busy("The site asked us to come back later.", seconds)
            await asyncio.sleep(seconds)
            if verdict == 0:
                return
            waited += seconds
        raise Busy("The site is being asked by others all the time.", 30)


def _key(host: str, what: str) -> str:
    # In braces: a Redis Cluster keeps the keys of one host together.
    return f"fetch:{{{host}}}:{what}"
