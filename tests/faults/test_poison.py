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
    assert (row.dead, row.attempt, len(ground.starts("poison"))) == (True, 2, 2)
    assert "worker died" in row.error["detail"]
    await promises_kept(ground)
    assert len(await ground.in_state("succeeded", [*before, *after])) == 20


@on_both_databases
async def test_long_work_beside_a_poisonous_job_is_not_buried_with_it(ground: Ground) -> None:
    """Row 23: work with no more attempts than the poison, and in the same worker at first."""
    beside = [await ground.put(kinds.beside, "gate") for _ in range(3)]
    poisoned = await ground.put(kinds.poison)
    await keep_a_worker(ground, [poisoned], slots=10)
    ground.open_gate("gate")
    await promises_kept(ground)
    assert len(await ground.in_state("succeeded", beside)) == 3
