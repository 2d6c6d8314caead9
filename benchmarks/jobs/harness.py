"""The measures. Every figure comes from real worker processes, whichever system they belong to."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.jobs.services import Services, running
from benchmarks.jobs.system import BATCH, SLOTS, Client, Place, System
from tests.services import Process

Show = Callable[[str], None]
# The number of a job before the measured ones: after it the connection is open.
_WARM_UP = -1
# Seconds after the drain in which a worker ends what stands behind the last effect.
_IDLE = 1.0
_WORK_SECONDS = 0.02
# When no job is missing, those whose effect was there but whose end was not may still run again.
_SECOND_RUNS = 3.0
# What a system has not done by then it does slowly, on a timer, and disturbs no other.
_CATCH_UP = 5.0


@dataclass(frozen=True)
class Plan:
    jobs: int = 3000
    repeats: int = 3
    pickups: int = 150
    drain_limit: float = 120
    """A slow system's drain is cut off after these seconds; its rate is that of what it has done."""
    loss_jobs: int = 1000
    grace: float = 30
    """Seconds beyond a system's own wait in which the jobs of a killed worker must have run again."""


@dataclass(frozen=True)
class Speed:
    enqueue_per_s: float
    enqueue_batch_per_s: float | None
    drain_per_s: float
    pickup_p50_ms: float | None
    pickup_p95_ms: float | None
    rss_mb: float


@dataclass(frozen=True)
class Loss:
    lost: int
    doubled: int


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


def _done(place: Place, count: int) -> Callable[[], bool]:
    path = place.effects
    return lambda: path.exists() and path.read_bytes().count(b"\n") >= count


def _speaks(process: Process) -> bool:
    return process.text() != ""


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
        await _enqueue(client, numbers, seconds)
        return
    for start in range(0, len(numbers), BATCH):
        await client.enqueue_batch(numbers[start : start + BATCH], seconds)


async def _drain(place: Place, worker: Process, plan: Plan) -> tuple[float, bool]:
    """Jobs a second between the first completion and the last; whether all were done in time."""
    whole = await _until(_done(place, plan.jobs + 1), worker, plan.drain_limit)
    ends = sorted(effect.ended for effect in effects(place.effects))
    return (len(ends) - 1) / (ends[-1] - ends[0]) * 1e9, whole


async def _pickups(client: Client, place: Place, worker: Process, plan: Plan) -> list[float]:
    """Milliseconds from the start of an enqueue call to the start of its job, in an idle worker."""
    await asyncio.sleep(_IDLE)
    asked: dict[int, int] = {}
    for number in range(plan.jobs, plan.jobs + plan.pickups):
        asked[number] = time.monotonic_ns()
        await client.enqueue(number, 0)
        await asyncio.sleep(random.uniform(0.02, 0.04))
    await _until(_done(place, plan.jobs + plan.pickups + 1), worker, 10)
    done = [effect for effect in effects(place.effects) if effect.number in asked]
    return [(effect.started - asked[effect.number]) / 1e6 for effect in done]


def _rss_mb(process: Process) -> float:
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024


async def measure_speed(system: System, services: Services, plan: Plan, show: Show) -> Speed:
    """One repeat: enqueuing without a worker, the drain by a new one, pick-up when it is idle."""
    async with AsyncExitStack() as stack:
        place = stack.enter_context(services.place(system))
        client = await stack.enter_async_context(system.connect(place))
        for helper in system.helpers:
            process = stack.enter_context(running(system, place, helper))
            # Its imports must not be measured with the enqueuing.
            await _until(partial(_speaks, process), process, 30)
        await client.enqueue(_WARM_UP, 0)
        show("enqueue")
        numbers = range(plan.jobs)
        one_by_one = await _rate(plan.jobs, _enqueue(client, numbers, 0))
        show("drain")
        with running(system, place, "worker") as worker:
            drained, whole = await _drain(place, worker, plan)
            rss = _rss_mb(worker)
            show("pick-up")
            # A worker that still drains is not idle: what it makes us wait is no pick-up time.
            waits = await _pickups(client, place, worker, plan) if whole else []
        batch = None
        if client.enqueue_batch is not None:
            show("enqueue in batches")
            batch = await _rate(plan.jobs, _enqueue_batch(client, numbers, 0))
    cuts = statistics.quantiles(waits, n=20) if waits else [None] * 19
    return Speed(one_by_one, batch, drained, cuts[9], cuts[18], rss)


def medians(speeds: Sequence[Speed]) -> Speed:
    """Figure by figure; None where one of them is missing."""

    def median(name: str) -> Any:
        values = [getattr(speed, name) for speed in speeds]
        return None if None in values else statistics.median(values)

    return Speed(*(median(field.name) for field in fields(Speed)))


async def measure_loss(
    system: System, services: Services, plan: Plan, turn: asyncio.Lock, show: Show
) -> Loss:
    """Kill the worker with some of the jobs done, start another, count effects when all had its time.

    `turn` is held while much runs: only the waiting for leases overlaps with other systems.
    """
    async with AsyncExitStack() as stack:
        async with turn:
            show("kill")
            place = stack.enter_context(services.place(system))
            client = await stack.enter_async_context(system.connect(place))
            for helper in system.helpers:
                stack.enter_context(running(system, place, helper))
            await _enqueue_batch(client, range(plan.loss_jobs), _WORK_SECONDS)
            with running(system, place, "worker") as first:
                await _until(_done(place, plan.loss_jobs // 3), first, plan.drain_limit)
                # Not always at the same point of a round of claims, work and ends.
                await asyncio.sleep(random.uniform(0, 0.05))
            killed = time.monotonic()
            second = stack.enter_context(running(system, place, "worker"))
            await _until(_done(place, plan.loss_jobs - SLOTS), second, _CATCH_UP)
        await _wait_for_leases(system, place, plan, killed)
        counts = Counter(effect.number for effect in effects(place.effects))
    return Loss(plan.loss_jobs - len(counts), sum(count > 1 for count in counts.values()))


async def _wait_for_leases(system: System, place: Place, plan: Plan, killed: float) -> None:
    """Until every job has run and those that may run twice had the time to, or the grace is over."""
    expired = killed + system.recovers_after
    deadline = max(expired, time.monotonic()) + plan.grace
    while time.monotonic() < deadline:
        whole = len({effect.number for effect in effects(place.effects)}) == plan.loss_jobs
        if whole and time.monotonic() > expired + _SECOND_RUNS:
            return
        await asyncio.sleep(0.2)
