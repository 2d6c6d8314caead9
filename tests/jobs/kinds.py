"""Jobs declared for tests only; the engine does not know them from others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ai_investment.errors import Problem
from ai_investment.identity.models import UserRow
from ai_investment.jobs.declare import job
from ai_investment.jobs.errors import Later
from ai_investment.jobs.run import Run


@dataclass
class Tools:
    """What the tests' worker provides: gates to hold jobs at, and a record of what ran."""

    ran: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)


class NotToday(Problem):
    status, title = 409, "Not today"


async def mark(db: Any, name: str) -> None:
    """The job's effect: counted by the tests, so that a doubled one is seen."""
    await db.execute(
        sa.update(UserRow).where(UserRow.id == "usr_effect").values(name=UserRow.name + name)
    )


@job("test.effect", queue="delivery", attempts=3, lease=1)
async def effect(run: Run[Tools], name: str) -> None:
    run.use.ran.append(name)
    async with run.settle({"name": name}) as db:
        await mark(db, name)


@job("test.held", queue="delivery", attempts=3, lease=1)
async def held(run: Run[Tools], name: str) -> None:
    """Waits at the gate with its slow work done, then settles."""
    run.use.ran.append(name)
    run.use.entered.set()
    await run.use.gate.wait()
    async with run.settle({"name": name}) as db:
        await mark(db, name)


@job("test.refuses", queue="delivery", attempts=3, lease=1)
async def refuses(run: Run[Tools]) -> None:
    raise NotToday("The shop is closed.")


@job("test.breaks", queue="delivery", attempts=2, lease=1)
async def breaks(run: Run[Tools]) -> None:
    raise RuntimeError("secret detail of a driver")


@job("test.later", queue="delivery", attempts=2, lease=1)
async def later(run: Run[Tools]) -> None:
    raise Later(60)


@job("test.half", queue="delivery", attempts=2, lease=1)
async def half(run: Run[Tools]) -> None:
    """Fails after its effects, inside the settle."""
    async with run.settle({}) as db:
        await mark(db, "half")
        raise NotToday("too late")


@job("test.urgent", queue="delivery", attempts=3, lease=1, priority=1)
async def urgent(run: Run[Tools], name: str) -> None:
    run.use.ran.append(name)


@job("test.few", queue="delivery", attempts=3, lease=1, quota=2)
async def few(run: Run[Tools], name: str) -> None:
    run.use.ran.append(name)


@job("test.only", queue="delivery", attempts=3, lease=1, unique="name")
async def only(run: Run[Tools], name: str) -> None:
    run.use.ran.append(name)


@job("test.returns", queue="delivery", attempts=3, lease=1)
async def returns(run: Run[Tools], text: str) -> None:
    """No effects of its own: settled together with others."""
    run.result = {"text": text}


@job("test.refreshes", queue="delivery", attempts=3, lease=1, unique="feed")
async def refreshes(run: Run[Tools], feed: str) -> None:
    """Stores what the file says now."""
    run.use.ran.append(feed)
    content = Path(feed).read_text()
    async with run.settle({"content": content}) as db:
        await mark(db, content)
