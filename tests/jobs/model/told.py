"""Jobs that end as they are told, each at a seat of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ai_investment.db import db_now
from ai_investment.errors import Problem
from ai_investment.identity.models import UserRow
from ai_investment.ids import new_id
from ai_investment.jobs.claim import Claimed
from ai_investment.jobs.declare import JobKind, job
from ai_investment.jobs.errors import Later
from ai_investment.jobs.run import Run

QUEUE = "delivery"
# Longer than any example: leases end and delays pass when the machine says so, never by themselves.
LONG = 3600


class Refused(Problem):
    status, title = 409, "Refused"


class Seat:
    """Where a run waits for the machine's next word."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str] = asyncio.Queue()
        self.idle = asyncio.Event()

    async def next_word(self) -> str:
        self.idle.set()
        return await self.words.get()


@dataclass
class Seats:
    """What the workers provide: a seat for every run they have started."""

    taken: dict[tuple[str, int], Seat] = field(default_factory=dict)

    def of(self, claimed: Claimed) -> Seat:
        return self.taken.setdefault((claimed.id, claimed.fence), Seat())


_ERRORS: dict[str, Exception] = {
    "refuse": Refused(),
    "break": RuntimeError("unforeseen"),
    "later": Later(60),
}


async def _obey(run: Run[Seats]) -> None:
    """End as the machine says."""
    seat, steps = run.use.of(run.job), 0
    while (word := await seat.next_word()) == "progress":
        steps += 1
        await run.progress(f"step {steps}")
    if word == "return":
        run.result = {"fence": run.job.fence}
    elif word == "regret":
        async with run.fail(Refused()) as db:
            db.add(_mark(f"{run.job.id} regretted"))
    elif word in ("settle", "half"):
        async with run.settle({"fence": run.job.fence}) as db:
            db.add(_mark(run.job.id))
            await db.flush()
            if word == "half":
                raise Refused
    else:
        raise _ERRORS[word]


def _mark(name: str) -> UserRow:
    """An effect: a row of its own, so that a doubled one is counted."""
    return UserRow(id=new_id("usr"), role="user", name=name, created_at=db_now())


@job("test.told", queue=QUEUE, attempts=3, lease=LONG)
async def told(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_urgent", queue=QUEUE, attempts=1, lease=LONG, priority=1)
async def told_urgent(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_few", queue=QUEUE, attempts=2, lease=LONG, quota=2)
async def told_few(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_only", queue=QUEUE, attempts=2, lease=LONG, unique="name")
async def told_only(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_raced", queue=QUEUE, attempts=3, lease=LONG)
async def told_raced(run: Run[Seats], name: str) -> None:
    """Its end and its worker's stop come at the same moment."""
    await _obey(run)


Kind = JobKind[Seats, [str]]
KINDS: tuple[Kind, ...] = (told, told_urgent, told_few, told_only)
NAMES = tuple(kind.name for kind in KINDS)
WORDS = (
    "settle",
    "settle",
    "return",
    "return",
    "refuse",
    "half",
    "regret",
    "break",
    "break",
    "later",
)
