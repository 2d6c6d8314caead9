"""The bell: Redis tells workers that a job waits and readers that a job has changed. It holds no truth."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ai_investment.jobs.enqueue import Changed, Forget, Ring

log = logging.getLogger(__name__)

CHANGES = "jobs:changed"
FUNCTION = "run_job"
_MESSAGE_TTL_MS = 24 * 3600 * 1000
_EVENTS_TTL = 3600
_EVENTS_KEPT = 2000

# Takes due messages off an arq queue in one step; returns how many. What to run, SQL says: a message
# tells only that something waits, so that one that is lost, doubled or forged changes nothing.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
if #ids == 0 then return 0 end
redis.call('ZREM', KEYS[1], unpack(ids))
local payloads = {}
for i, id in ipairs(ids) do payloads[i] = ARGV[2] .. id end
redis.call('DEL', unpack(payloads))
return #ids
"""


# A message for later: due by Redis's own clock, which publisher and taker share.
_PUT_OFF = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
"""
_DUE_AT_ONCE = 1


def queue_key(queue: str) -> str:
    """The arq queue's sorted set."""
    return f"arq:{queue}"


def wake_channel(queue: str) -> str:
    return f"wake:{queue}"


def events_key(job_id: str) -> str:
    return f"events:{job_id}"


class Event(msgspec.Struct, frozen=True):
    """One event of a job's stream; `id` is the Redis stream id, usable as Last-Event-ID."""

    id: str
    name: str
    data: dict[str, Any]


class Bell:
    """Publishing side and event streams, on one Redis client with short time-outs."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def publish(self, messages: Sequence[Ring | Changed | Forget]) -> None:
        """Publish after a commit, all in one round trip. Raises RedisError when Redis does not answer."""
        now = int(time.time() * 1000)
        pipe = self.redis.pipeline(transaction=False)
        for message in messages:
            if isinstance(message, Changed):
                pipe.publish(CHANGES, message.job_id)
                continue
            if isinstance(message, Forget):
                pipe.delete(events_key(message.job_id))
                continue
            arq_id = f"{message.job_id}:{message.attempt}"
            payload = serialize_job(
                FUNCTION,
                (message.job_id, message.attempt),
                {},
                None,
                now,
                serializer=msgspec.json.encode,
            )
            pipe.set(job_key_prefix + arq_id, payload, px=_MESSAGE_TTL_MS)
            if message.delay:
                delay = str(int(message.delay * 1000))
                pipe.eval(_PUT_OFF, 1, queue_key(message.queue), delay, arq_id)
            else:
                pipe.zadd(queue_key(message.queue), {arq_id: _DUE_AT_ONCE})
        for queue in {message.queue for message in messages if isinstance(message, Ring)}:
            pipe.publish(wake_channel(queue), "")
        await pipe.execute()

    async def take(self, queue: str, limit: int) -> int:
        """Take up to `limit` due messages off a queue; returns how many there were."""
        return int(
            await cast(
                "Awaitable[int]",
                self.redis.eval(
                    _TAKE,
                    1,
                    queue_key(queue),
                    str(limit),
                    job_key_prefix,
                ),
            )
        )

    async def waiting(self, queue: str, arq_ids: Sequence[str]) -> set[str]:
        """Which of these messages are on the queue."""
        pipe = self.redis.pipeline(transaction=False)
        for arq_id in arq_ids:
            pipe.zscore(queue_key(queue), arq_id)
        scores = await pipe.execute()
        return {arq_id for arq_id, score in zip(arq_ids, scores, strict=True) if score is not None}

    async def emit(self, job_id: str, name: str, data: dict[str, Any]) -> None:
        """Append an event to a job's bounded stream. Lost events cost nothing: SQL has the outcome."""
        pipe = self.redis.pipeline(transaction=False)
        fields: dict[Any, Any] = {"name": name, "data": msgspec.json.encode(data)}
        pipe.xadd(events_key(job_id), fields, maxlen=_EVENTS_KEPT, approximate=True)
        pipe.expire(events_key(job_id), _EVENTS_TTL)
        pipe.publish(CHANGES, job_id)
        try:
            await pipe.execute()
        except (RedisError, OSError) as cause:
            log.warning("event lost: %s", type(cause).__name__)

    async def events_after(self, job_id: str, last_id: str, limit: int = 200) -> list[Event]:
        """Events after `last_id` ("0" for all), oldest first; none when Redis has none."""
        rows = await self.redis.xrange(
            events_key(job_id), min=f"({last_id}" if last_id != "0" else "-", count=limit
        )
        return [
            Event(
                stream_id.decode(), fields[b"name"].decode(), msgspec.json.decode(fields[b"data"])
            )
            for stream_id, fields in rows
        ]


class Listener:
    """One subscription per process, shared by everything that waits on a channel or a job."""

    def __init__(self, redis: Redis, channel: str) -> None:
        self._redis = redis
        self._channel = channel
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @asynccontextmanager
    async def woken(self, key: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever `key` is published; register before reading the state."""
        event = asyncio.Event()
        self._waiting.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    def wake_all(self) -> None:
        """Wake every waiter, for example because this process stops."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._channel)
                    self.wake_all()  # something may have happened while we did not listen
                    while True:
                        message = await channel.get_message(timeout=15)
                        if message:
                            for event in self._waiting.get(message["data"].decode(), ()):
                                event.set()
            except (RedisError, OSError) as cause:
                log.warning("listener on %s: %s; again in 1 s", self._channel, type(cause).__name__)
                await asyncio.sleep(1)


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for a wake-up at most `seconds`; clears it. True when woken."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
