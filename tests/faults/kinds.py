"""Jobs for fault tests: work that waits at gates of files, and effects that can be counted."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_investment.answers.glossary import Glossary
from ai_investment.answers.models import Model
from ai_investment.answers.safety.classifier import LIMITS
from ai_investment.answers.safety.gate import Gate
from ai_investment.content.lexical import Follower
from ai_investment.content.query import Question
from ai_investment.content.vectors import Hit
from ai_investment.db import Db
from ai_investment.jobs.declare import job
from ai_investment.jobs.errors import Later
from ai_investment.jobs.run import Run
from tests.faults.records import EFFECTS


class Nothing:
    """A library with nothing in it, so that every question is abstained from; and no model."""

    model = Model("nobody", "nothing", None)
    thresholds = dict.fromkeys(LIMITS, 1.0)

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        return []

    def weigh(self, text: str) -> list[tuple[str, dict[str, float]]]:
        return [(text, dict.fromkeys((*LIMITS, "off_topic"), 0.0))]


@dataclass(frozen=True)
class Tools:
    """What the tests' worker provides. Files outlive its processes: what was started, which gates are open."""

    folder: Path
    lexical: Follower
    gate: Gate
    glossary: Glossary
    dense: Nothing
    answerer: Nothing

    def started(self, name: str, claimed: Any) -> None:
        line = f"{name} {claimed.id} {claimed.attempt} {os.getpid()}\n"
        with (self.folder / "started").open("a") as file:
            file.write(line)

    async def opened(self, gate: str) -> None:
        path = self.folder / "gates" / gate
        while not path.exists():
            await asyncio.sleep(0.02)


async def count(db: Db, run: Run[Tools]) -> None:
    """The effect. No constraint keeps it from being there twice: the engine has to."""
    await db.execute(
        EFFECTS.insert().values(job_id=run.job.id, attempt=run.job.attempt, pid=os.getpid())
    )


@job("test.faults.held", queue="delivery", attempts=3, lease=2)
async def held(run: Run[Tools], name: str, gate: str) -> None:
    """Waits at a gate with its slow work done, then settles."""
    run.use.started(name, run.job)
    await run.use.opened(gate)
    async with run.settle({"name": name}) as db:
        await count(db, run)


@job("test.faults.timed", queue="delivery", attempts=5, lease=2)
async def timed(run: Run[Tools], seconds: float) -> None:
    run.use.started("timed", run.job)
    await asyncio.sleep(seconds)
    async with run.settle() as db:
        await count(db, run)


@job("test.faults.poison", queue="delivery", attempts=3, lease=1)
async def poison(run: Run[Tools]) -> None:
    """Takes its worker with it, as a bug in a parser's C code would."""
    run.use.started("poison", run.job)
    os.kill(os.getpid(), signal.SIGKILL)


@job("test.faults.beside", queue="delivery", attempts=2, lease=1)
async def beside(run: Run[Tools], seconds: float) -> None:
    """Innocent work with fewer attempts than the poison."""
    run.use.started("beside", run.job)
    await asyncio.sleep(seconds)
    async with run.settle() as db:
        await count(db, run)


@job("test.faults.novel", queue="delivery", attempts=2, lease=2)
async def novel(run: Run[Tools]) -> None:
    """A kind that only the workers of the newer release know."""
    async with run.settle() as db:
        await count(db, run)


@job("test.faults.postponed", queue="delivery", attempts=3, lease=2)
async def postponed(run: Run[Tools], seconds: float) -> None:
    """Says "later" the first time."""
    run.use.started("postponed", run.job)
    if run.job.fence == 1:
        raise Later(seconds)
    async with run.settle() as db:
        await count(db, run)


@job("test.faults.brief", queue="delivery", attempts=2, lease=10)
async def brief(run: Run[Tools], seconds: float) -> None:
    """No effects of its own: settled together with others."""
    await asyncio.sleep(seconds)


@job("test.faults.tells", queue="delivery", attempts=3, lease=2)
async def tells(run: Run[Tools], gate: str, seconds: float, size: int) -> None:
    """Streams numbered pieces, one every `seconds`, until the gate opens."""
    path, number = run.use.folder / "gates" / gate, 0
    while not path.exists():
        await run.delta(f"{number} ".ljust(size, "."))
        number += 1
        await asyncio.sleep(seconds)


EFFECTFUL = (
    held.name,
    timed.name,
    beside.name,
    novel.name,
    postponed.name,
    "chat.answer_message",
)
