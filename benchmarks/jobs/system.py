"""What a queue system is to this benchmark, and the one job that all of them run."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import uvloop

# Jobs at once in the one worker process, where the system lets us say so and "stock" says nothing else.
SLOTS = 100
# Jobs in one call of enqueue_batch.
BATCH = 1000


@dataclass(frozen=True)
class Place:
    """Where one measurement happens: servers with nothing in them, and a file for the effects."""

    redis_url: str
    database_url: str
    effects: Path

    def environment(self) -> dict[str, str]:
        return {
            "BENCH_REDIS_URL": self.redis_url,
            "BENCH_DATABASE_URL": self.database_url,
            "BENCH_EFFECTS": str(self.effects),
        }

    @classmethod
    def of_this_process(cls) -> Place:
        """The place that a worker process was started for."""
        return cls(
            os.environ["BENCH_REDIS_URL"],
            os.environ["BENCH_DATABASE_URL"],
            Path(os.environ["BENCH_EFFECTS"]),
        )


@dataclass(frozen=True)
class Client:
    """The enqueuing side. A job is its number and the seconds it sleeps."""

    enqueue: Callable[[int, float], Awaitable[None]]
    enqueue_batch: Callable[[Sequence[int], float], Awaitable[None]] | None = None


@dataclass(frozen=True)
class System:
    name: str
    module: str
    """Its worker is `python -m MODULE worker`."""
    connect: Callable[[Place], AbstractAsyncContextManager[Client]]
    """Opens a client; the first one at a place creates what the system needs there."""
    recovers_after: float
    """Seconds after which the jobs of a killed worker are to run again, with the settings below."""
    settings: str
    """How it was run, for the reader of the figures."""
    database: str | None = None
    """`postgresql`, `sqlite` or None."""
    helpers: tuple[str, ...] = ()
    """Further processes that the system needs beside its worker."""


class Effects:
    """Where jobs leave their mark: one appended line a job, the same for every system."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def work(self, number: int, seconds: float) -> dict[str, int]:
        """The job. CLOCK_MONOTONIC is one clock for all processes of a Linux machine."""
        started = time.monotonic_ns()
        if seconds:
            await asyncio.sleep(seconds)
        line = f"{number} {started} {time.monotonic_ns()} {os.getpid()}\n"
        os.write(self._file, line.encode())
        return {"number": number}


def run_process(processes: dict[str, Callable[[Place], Awaitable[None]]]) -> None:
    """Entry of worker processes; uvloop for all, so that the loop is not what is compared."""
    process = processes[sys.argv[1]]

    async def main() -> None:
        print("started", flush=True)
        await process(Place.of_this_process())

    uvloop.run(main())
