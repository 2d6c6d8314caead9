"""A job that kills its worker each time it is tried."""

from __future__ import annotations

from tests.faults import kinds
from tests.faults.both import on_both_databases
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.waiting import until


async def keep_a_worker(ground: Ground, poisoned: list[str], slots: int) -> None:
    """As a supervisor does: start a worker again whenever it is gone, until the poison has ended."""
    worker = await ground.worker(slots=slots)

    async def ended() -> bool:
        nonlocal worker
        if not worker.alive:
            worker = await ground.worker(slots=slots)
        return len(await ground.in_state("failed", poisoned)) == len(poisoned)

    await until(ended, "the dead letter", 60)


@on_both_databases
async def test_a_job_that_kills_its_worker_goes_to_the_dead_letter_and_others_end(
    ground: Ground,
) -> None:
    """Row 23."""
    before = [await ground.put(kinds.timed, 0.05) for _ in range(10)]
    poisoned = await ground.put(kinds.poison)
    after = [await ground.put(kinds.timed, 0.05) for _ in range(10)]
    await keep_a_worker(ground, [poisoned], slots=4)
    row = await ground.job(poisoned)
    assert (row.dead, row.attempt, len(ground.starts("poison"))) == (True, 3, 3)
    assert "worker died" in row.error["detail"]
    await promises_kept(ground)
    assert len(await ground.in_state("succeeded", [*before, *after])) == 20


@on_both_databases
async def test_a_poisonous_job_buries_no_other_although_it_has_more_attempts_left(
    ground: Ground,
) -> None:
    """Row 23: the first crash hits all of them; after that they are no longer run together."""
    beside = [await ground.put(kinds.beside, 0.5) for _ in range(5)]
    poisoned = await ground.put(kinds.poison)
    await keep_a_worker(ground, [poisoned], slots=10)
    await promises_kept(ground)
    rows = await ground.jobs(beside)
    assert {(row.state, row.attempt, row.crashes) for row in rows} == {("succeeded", 2, 1)}
    assert (await ground.job(poisoned)).crashes == 3
