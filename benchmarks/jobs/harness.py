"""The measures. Every figure comes from real worker processes, whichever system they belong to."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.jobs.services import Services, running
from benchmarks.jobs.system import BATCH, SLOTS, Client, Place, System
from tests.services import Process

Show = Callable[[str], None]
# Numbers of jobs that are not among those a measure counts.
_PROBES = 10_000_000
_WORK_SECONDS = 0.02


@dataclass(frozen=True)
class Plan:
    jobs: int = 3000
    repeats: int = 3
    pickups: int = 150
    drain_limit: float = 120
    """A slow system's drain is cut off after these seconds; its rate is that of what it has done."""
    grace: float = 30
    """Seconds beyond a system's own wait in which the jobs of a killed worker must have run again."""


@dataclass(frozen=True)
class Speed:
    enqueue_per_s: float
    enqueue_batch_per_s: float | None
    drain_per_s: float
    pickup_p50_ms: float
    pickup_p95_ms: float
    rss_mb: float


@dataclass(frozen=True)
class Loss:
    lost: int
    doubled: int
    doubled_settled: int | None


@dataclass(frozen=True)
class Effect:
    number: int
    started: int
    ended: int


def effects(path: Path) -> list[Effect]:
    """What has been done so far, in the order in which it was."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    return [Effect(*map(int, line.split()[:3])) for line in lines]


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def _until(done: Callable[[], bool], worker: Process, seconds: float) -> bool:
    """Wait with an end. A worker that ended by itself is a mistake of ours, not a slow system."""
    deadline = time.monotonic() + seconds
    while not done():
        if worker.popen.poll() is not None:
            raise RuntimeError(f"the worker ended by itself:\n{worker.text()[-3000:]}")
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def _rate(count: int, work: Awaitable[None]) -> float:
    started = time.monotonic()
    await work
    return count / (time.monotonic() - started)


async def _enqueue(client: Client, numbers: Sequence[int], seconds: float) -> None:
    for number in numbers:
        await client.enqueue(number, seconds)


async def _enqueue_batch(client: Client, numbers: Sequence[int], seconds: float) -> None:
    if client.enqueue_batch is None:
        return await _enqueue(client, numbers, seconds)
    for start in range(0, len(numbers), BATCH):
        await client.enqueue_batch(numbers[start : start + BATCH], seconds)


async def _pickups(client: Client, place: Place, worker: Process, count: int) -> list[float]:
    """Milliseconds from the start of an enqueue call to the start of its job, in an idle worker."""
    for number in range(5):  # connections are open and statements prepared after these
        await client.enqueue(_PROBES + number, 0)
        await _until(lambda seen=number + 1: _count(place.effects) >= seen, worker, 30)  # type: ignore[misc]
    await asyncio.sleep(1)
    asked: dict[int, int] = {}
    for number in range(count):
        asked[number] = time.monotonic_ns()
        await client.enqueue(number, 0)
        await asyncio.sleep(random.uniform(0.02, 0.04))
    await _until(lambda: _count(place.effects) >= count + 5, worker, 10)
    done = [effect for effect in effects(place.effects) if effect.number in asked]
    return [(effect.started - asked[effect.number]) / 1e6 for effect in done]


async def _drain(place: Place, worker: Process, jobs: int, limit: float) -> float:
    """Jobs a second between the first completion and the last."""
    await _until(lambda: _count(place.effects) >= jobs, worker, limit)
    ends = sorted(effect.ended for effect in effects(place.effects))
    return (len(ends) - 1) / (ends[-1] - ends[0]) * 1e9


def _rss_mb(process: Process) -> float:
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024


async def measure_speed(system: System, services: Services, plan: Plan, show: Show) -> Speed:
    """One repeat: pick-up by an idle worker, then enqueuing without a worker, then the drain."""
    with services.place(system) as place, ExitStack() as helpers:
        async with system.connect(place) as client:
            for helper in system.helpers:
                helpers.enter_context(running(system, place, helper))
            show("pick-up")
            with running(system, place, "worker") as worker:
                waits = await _pickups(client, place, worker, plan.pickups)
            place.effects.unlink()
            show("enqueue")
            numbers = range(plan.jobs)
            one_by_one = await _rate(plan.jobs, _enqueue(client, numbers, 0))
            show("drain")
            with running(system, place, "worker") as worker:
                drained = await _drain(place, worker, plan.jobs, plan.drain_limit)
                rss = _rss_mb(worker)
            batch = None
            if client.enqueue_batch is not None:
                show("enqueue in batches")
                batch = await _rate(plan.jobs, _enqueue_batch(client, numbers, 0))
    cuts = statistics.quantiles(waits, n=20)
    return Speed(one_by_one, batch, drained, cuts[9], cuts[18], rss)


def medians(speeds: Sequence[Speed]) -> Speed:
    def median(name: str) -> float:
        return statistics.median(getattr(speed, name) for speed in speeds)

    names = ("enqueue_per_s", "drain_per_s", "pickup_p50_ms", "pickup_p95_ms", "rss_mb")
    whole = replace(speeds[0], **{name: median(name) for name in names})
    return replace(
        whole,
        enqueue_batch_per_s=whole.enqueue_batch_per_s and median("enqueue_batch_per_s"),
    )


async def measure_loss(
    system: System, services: Services, plan: Plan, turn: asyncio.Lock, show: Show
) -> Loss:
    """Kill the worker with half of the jobs done, start another, count effects when all had its time.

    Only the waiting for leases overlaps with other systems; `turn` is held while something runs.
    """
    with services.place(system) as place, ExitStack() as processes:
        await turn.acquire()
        try:
            for helper in system.helpers:
                processes.enter_context(running(system, place, helper))
            client = await processes_client(system, place)
        finally:
            turn.release()
    raise NotImplementedError
