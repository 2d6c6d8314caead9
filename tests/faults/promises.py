"""What has to hold after every fault, in one place."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa

from ai_investment.db import db_now
from ai_investment.jobs.models import TERMINAL, Job
from tests.faults.ground import Ground
from tests.faults.kinds import EFFECTFUL
from tests.faults.records import EFFECTS, MOVES
from tests.faults.waiting import until

# A sweep every 2 s, and as much again for a busy machine.
_SWEEP = 4


async def promises_kept(ground: Ground, *, live: int = 0, seconds: float = 60) -> None:
    """Accepted = terminal + live, no effect twice, no lease without an owner.

    Waits until all accepted jobs but `live` have ended. Raises AssertionError with what was broken.
    """
    accepted = ground.accepted

    async def quiet() -> bool:
        states = await _states(ground)
        return sum(states[job_id] in TERMINAL for job_id in accepted) >= len(accepted) - live

    await until(quiet, f"the end of all but {live} accepted jobs", seconds)
    rows = {row.id: row for row in await ground.jobs()}
    assert accepted <= rows.keys(), f"accepted and lost: {accepted - rows.keys()}"
    assert sum(rows[job_id].state not in TERMINAL for job_id in accepted) == live
    await _one_end_each(ground, rows)
    await _no_effect_twice(ground, rows)
    await until(lambda: _every_lease_has_an_owner(ground), "every lease having an owner")


async def _states(ground: Ground) -> dict[str, str]:
    async with ground.database.reading() as read:
        return {row.id: row.state for row in await read.execute(sa.select(Job.id, Job.state))}


async def _one_end_each(ground: Ground, rows: dict[str, Any]) -> None:
    async with ground.database.reading() as read:
        moves = (await read.execute(sa.select(MOVES))).all()
    left = [move for move in moves if move.was in TERMINAL]
    assert not left, f"left a terminal state: {left}"
    ends = Counter(move.job_id for move in moves if move.became in TERMINAL)
    assert ends == Counter(row.id for row in rows.values() if row.state in TERMINAL)


async def _no_effect_twice(ground: Ground, rows: dict[str, Any]) -> None:
    async with ground.database.reading() as read:
        effects = Counter((await read.execute(sa.select(EFFECTS.c.job_id))).scalars())
    wanted = {row.id for row in rows.values() if row.kind in EFFECTFUL and row.state == "succeeded"}
    assert effects == Counter(wanted), f"doubled, lost or stray: {effects - Counter(wanted)}"


async def _every_lease_has_an_owner(ground: Ground) -> bool:
    """A running job is leased, a job that does not run is not, and no lease is older than a sweep."""
    running = Job.state == "running"
    query = sa.select(Job.id).where(
        sa.or_(
            sa.and_(running, Job.lease_until.is_(None)),
            sa.and_(sa.not_(running), Job.lease_until.is_not(None)),
            sa.and_(running, Job.lease_until < db_now(-_SWEEP)),
        )
    )
    async with ground.database.reading() as read:
        return not (await read.execute(query)).all()
