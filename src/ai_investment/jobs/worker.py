"""The arq worker that hears the bell at once and claims in batches; the scheduler beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC
from typing import Any

import arq.worker
import msgspec
from arq.connections import ArqRedis
from arq.cron import cron
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from ai_investment.db import Database
from ai_investment.jobs.bell import Bell, Listener, queue_key, wait_for, wake_channel
from ai_investment.jobs.claim import APART, CLEAR, Claimed, claim, put_back
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.enqueue import Changed
from ai_investment.jobs.presence import announce
from ai_investment.jobs.run import Runner
from ai_investment.jobs.schedule import fire_due
from ai_investment.jobs.sweep import sweep
from ai_investment.supervisor import tell_ready

log = logging.getLogger(__name__)

Resources = Callable[[], AbstractAsyncContextManager[Any]]
# The safety net below the wake-up, and the resolution of delayed messages.
_POLL_SECONDS = 0.5
# Between the stop signal and the release of what still runs: below the hosts' 60 s grace.
DRAIN_SECONDS = 30


async def _never(ctx: dict[Any, Any]) -> None:
    """arq wants a function by name; our messages are taken in batches before arq would look one up."""
    raise AssertionError("messages are taken by _poll_iteration")


class QueueWorker(arq.worker.Worker):
    """arq's worker (signals, drain, pool) with our way of picking up work.

    arq reads a page of ids and marks each in Redis with three round trips. Here due messages are taken
    in one step and claimed in SQL in one statement; nothing about a job is kept in Redis.
    """

    def __init__(
        self,
        queue: str,
        kinds: Sequence[JobKind[Any, ...]],
        database: Database,
        bell: Bell,
        resources: Resources,
        *,
        max_jobs: int,
        drain: int = DRAIN_SECONDS,
    ) -> None:
        super().__init__(
            functions=[arq.worker.func(_never, name="run_job")],
            queue_name=queue_key(queue),
            redis_pool=_arq_client(bell),
            poll_delay=0,
            max_jobs=max_jobs,
            keep_result=0,
            max_tries=10**6,
            job_completion_wait=drain,
            timezone=UTC,
            log_results=False,
            job_serializer=msgspec.json.encode,
            job_deserializer=msgspec.json.decode,
        )
        self.queue = queue
        self.kinds = [kind.name for kind in kinds]
        self._database = database
        self._bell = bell
        self._resources = resources
        self._wake = asyncio.Event()
        self._suspects: list[Claimed] = []
        """Those that run here."""
        self._ear = Listener(bell.redis, wake_channel(queue))
        self._stack = AsyncExitStack()

    async def main(self) -> None:
        """Open the resources, then take work until a signal stops us."""
        self._ear.start()
        self._stack.push_async_callback(self._ear.stop)
        use = await self._stack.enter_async_context(self._resources())
        self._runner = Runner(self._database, self._bell, use)
        self._stack.push_async_callback(self._runner.close)
        log.info(
            "worker ready", extra={"queue": self.queue, "kinds": self.kinds, "slots": self.max_jobs}
        )
        tell_ready()
        self._announce(self.queue)
        async with self._ear.woken("") as self._wake:
            rang = False
            while True:
                if not (rang := await self._pick_up(rang)):
                    rang = await wait_for(self._wake, _POLL_SECONDS)

    async def _pick_up(self, rang: bool) -> bool:
        """Fill the free slots; True when there may be more to do at once.

        When the bell rang, SQL is asked at once; what the messages said is then known already.
        """
        free = self.max_jobs - len(self.tasks)
        if not self.allow_pick_jobs or free <= 0:
            return False
        if not rang and not await self._heard(free):
            return False
        try:
            claimed = await self._claim(free)
        except (SQLAlchemyError, OSError) as cause:
            log.warning("cannot claim: %s", type(cause).__name__)
            await asyncio.sleep(_POLL_SECONDS)
            return False
        for item in claimed:
            self._start(item)
        await self._tell(claimed)
        if rang:
            await self._heard(free)
        return len(claimed) > 0

    async def _tell(self, claimed: Sequence[Claimed]) -> None:
        """Readers learn that their jobs run; those have started already."""
        try:
            await self._bell.publish([Changed(item.id) for item in claimed])
        except (RedisError, OSError) as cause:
            log.warning("start not told: %s", type(cause).__name__)

    async def _claim(self, free: int) -> list[Claimed]:
        """Claim; when the worker is stopped meanwhile, what was claimed is given back."""
        # Beside a suspect no job that has to be apart, beside one that has to be apart no suspect.
        most = APART - max((job.suspicion for job in self._suspects), default=CLEAR)
        claiming = asyncio.create_task(claim(self._database, self.queue, self.kinds, free, most))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            async with self._database.transaction() as db:
                for item in await claiming:
                    await put_back(db, item, free=True)
            raise

    async def _heard(self, free: int) -> bool:
        """Whether something may wait. Without Redis to ask, SQL is asked at every poll."""
        try:
            return await self._bell.take(self.queue, free) > 0
        except (RedisError, OSError) as cause:
            log.warning("Redis does not answer (%s); looking into SQL", type(cause).__name__)
            return True

    def _start(self, claimed: Claimed) -> None:
        task = self.loop.create_task(self._runner.run(claimed))
        # One whose lease was lost may be claimed here again while the older run has not noticed.
        self.tasks[f"{claimed.id}:{claimed.fence}"] = task
        if claimed.suspicion > CLEAR:
            self._suspects.append(claimed)
        task.add_done_callback(lambda ended: self._ended(claimed, ended))

    def _ended(self, claimed: Claimed, task: asyncio.Task[Any]) -> None:
        if len(self.tasks) >= self.max_jobs or claimed.suspicion > CLEAR:
            # Only then may something wait that nobody has taken.
            self._wake.set()
        self.tasks.pop(f"{claimed.id}:{claimed.fence}")
        if claimed.suspicion > CLEAR:
            self._suspects.remove(claimed)
        if not task.cancelled() and (cause := task.exception()):
            # The outcome could not be written; the lease runs out and the sweeper takes the job back.
            log.error("outcome not written: %s", type(cause).__name__, extra={"job_id": claimed.id})

    async def close(self) -> None:
        """Release what still runs, then the resources."""
        running = list(self.tasks.values())
        for task in running:
            # arq cancels at the end of the drain; a second cancel would interrupt the giving back.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._stack.aclose()

    def _announce(self, name: str) -> None:
        presence = self.loop.create_task(announce(self._bell.redis, name))
        self._stack.callback(presence.cancel)


class Scheduler(arq.worker.Worker):
    """arq's cron: it only inserts jobs and sweeps. A lost Redis stops the clock, not the process."""

    def __init__(self, database: Database, bell: Bell) -> None:
        super().__init__(
            cron_jobs=[
                cron(_sweep, name="sweep", second=set(range(0, 60, 2)), timeout=60, keep_result=0)
            ],
            queue_name=queue_key("scheduler"),
            redis_pool=_arq_client(bell),
            keep_result=0,
            max_tries=10**6,
            job_completion_wait=DRAIN_SECONDS,
            health_check_interval=15,
            timezone=UTC,
            log_results=False,
            job_serializer=msgspec.json.encode,
            job_deserializer=msgspec.json.decode,
            ctx={"database": database, "bell": bell},
            on_startup=_announce_scheduler,
        )

    async def _poll_iteration(self) -> None:
        try:
            await super()._poll_iteration()
        except (RedisError, OSError) as cause:
            log.warning("scheduler: %s; again in 1 s", type(cause).__name__)
            await asyncio.sleep(1)


async def _announce_scheduler(ctx: dict[Any, Any]) -> None:
    log.info("worker ready", extra={"queue": "scheduler"})
    tell_ready()
    ctx["presence"] = asyncio.create_task(announce(ctx["bell"].redis, "scheduler"))


async def _sweep(ctx: dict[Any, Any]) -> None:
    try:
        counts = await sweep(ctx["database"], ctx["bell"])
        counts["fired"] = await fire_due(ctx["database"])
    except (RedisError, SQLAlchemyError, OSError) as cause:
        log.warning("sweep failed: %s", type(cause).__name__)
        return
    if any(counts.values()):
        log.info("swept", extra=counts)


def _arq_client(bell: Bell) -> ArqRedis:
    return ArqRedis(
        bell.redis.connection_pool,
        job_serializer=msgspec.json.encode,
        job_deserializer=msgspec.json.decode,
        default_queue_name=queue_key("scheduler"),
    )
