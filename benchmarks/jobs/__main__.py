"""`python -m benchmarks.jobs`: job queues side by side, in one run on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.jobs.harness import Loss, Plan, Speed, measure_loss, measure_speed, medians
from benchmarks.jobs.services import Services
from benchmarks.jobs.system import System
from benchmarks.jobs.systems.arq_ import ARQ
from benchmarks.jobs.systems.floor import REDIS_FLOOR
from benchmarks.jobs.systems.ours import OURS_POSTGRESQL, OURS_SQLITE
from benchmarks.jobs.systems.procrastinate_ import PROCRASTINATE
from benchmarks.jobs.systems.saq_ import SAQ

SYSTEMS = (OURS_POSTGRESQL, OURS_SQLITE, ARQ, SAQ, PROCRASTINATE, REDIS_FLOOR)
_FIGURES = {
    "enqueue_per_s": "enqueue\n/s",
    "drain_per_s": "drain\n/s",
    "pickup_p50_ms": "pickup\np50 ms",
    "pickup_p95_ms": "pickup\np95 ms",
    "lost": "lost",
    "doubled": "doubled",
    "rss_mb": "RSS\nMB",
    "enqueue_batch_per_s": "batch\n/s",
}
_QUICK = Plan(jobs=300, repeats=1, pickups=30, drain_limit=10, loss_jobs=200, grace=5)
# Standard error, so that the table can be redirected without the progress.
_console = Console()
_progress_console = Console(stderr=True)


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--jobs", type=click.IntRange(200), default=Plan.jobs, show_default=True)
@click.option("--quick", is_flag=True, help="300 jobs, one repeat: does it run, not how fast.")
def main(path: Path | None, jobs: int, quick: bool) -> None:
    """Measure our job engine beside arq, SAQ, Procrastinate and a bare Redis list."""
    plan = _QUICK if quick else Plan(jobs=jobs)
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-jobs-") as folder:
        fsync = _fsync_ms(Path(folder))
        services = Services(Path(folder))
        try:
            rows = uvloop.run(_measure(services, plan))
        finally:
            services.stop()
    if path:
        path.write_text(json.dumps(rows, indent=2) + "\n")
    else:
        _print(rows, plan, f"{os.cpu_count()} cores, load before {busy:.1f}, fsync {fsync:.1f} ms")


async def _measure(services: Services, plan: Plan) -> list[dict[str, Any]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    steps = len(SYSTEMS) * (plan.repeats + 1)
    with Progress(*columns, TimeElapsedColumn(), console=_progress_console) as progress:
        task = progress.add_task("", total=steps)

        def show(system: System, what: str) -> None:
            progress.update(task, description=f"{system.name}: {what}")

        speeds: dict[str, list[Speed]] = {system.name: [] for system in SYSTEMS}
        # A round of all systems before the next: what else this machine does then hits all alike.
        for _ in range(plan.repeats):
            for system in SYSTEMS:
                speed = await measure_speed(system, services, plan, partial(show, system))
                speeds[system.name].append(speed)
                progress.advance(task)

        turn = asyncio.Lock()

        async def lose(system: System) -> Loss:
            loss = await measure_loss(system, services, plan, turn, partial(show, system))
            progress.advance(task)
            return loss

        # The longest waits begin first.
        order = sorted(SYSTEMS, key=lambda system: -system.recovers_after)
        found = await asyncio.gather(*map(lose, order))
        losses = {system.name: loss for system, loss in zip(order, found, strict=True)}
    return [_row(system, medians(speeds[system.name]), losses[system.name]) for system in SYSTEMS]


def _fsync_ms(folder: Path) -> float:
    """What a durable commit costs at least on this disk."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 8192)
            file.flush()
            started = time.monotonic()
            os.fsync(file.fileno())
            times.append(time.monotonic() - started)
    return statistics.median(times) * 1000


def _row(system: System, speed: Speed, loss: Loss) -> dict[str, Any]:
    figures = {**asdict(speed), **asdict(loss)}
    rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}
    return {"system": system.name, **{key: rounded[key] for key in _FIGURES}}


def _print(rows: list[dict[str, Any]], plan: Plan, machine: str) -> None:
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"{plan.jobs} jobs, median of {plan.repeats}; {machine}",
    )
    table.add_column("system", no_wrap=True)
    for title in _FIGURES.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in ("system", *_FIGURES)))
    _console.print(table)
    for line in _ratios(rows):
        _console.print(line)
    _console.print(
        "drain: from the first completion to the last. pickup: from the enqueue call to the start "
        f"of the job. lost, doubled: of {plan.loss_jobs} after a SIGKILL of the worker, as the outside world saw it "
        f"(lines in a file), {plan.grace:.0f} s after the system's own wait."
    )
    for system in SYSTEMS:
        _console.print(f"[bold]{system.name}[/bold]: {system.settings}")


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.{1 if value < 100 else 0}f}" if isinstance(value, float) else str(value)


def _ratios(rows: list[dict[str, Any]]) -> list[str]:
    found = {row["system"]: row for row in rows}
    ours = found[OURS_POSTGRESQL.name]

    def ratio(figure: str, other: str) -> str:
        mine, theirs = ours[figure], found[other][figure]
        return f"x{mine / theirs:.2f}" if mine and theirs else "-"

    return [
        f"{ours['system']} / {other}: enqueue {ratio('enqueue_per_s', other)}, "
        f"drain {ratio('drain_per_s', other)}, pickup p50 {ratio('pickup_p50_ms', other)}"
        for other in (ARQ.name, PROCRASTINATE.name, SAQ.name)
    ]


if __name__ == "__main__":
    main()
