"""A rolling release: workers of the older and of the newer one run side by side."""

from __future__ import annotations

from tests.faults import kinds
from tests.faults.both import on_both_databases
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.waiting import until

OLD = (kinds.timed.name, kinds.held.name)


@on_both_databases
async def test_a_kind_the_old_workers_do_not_know_waits_unharmed_for_a_new_worker(
    ground: Ground,
) -> None:
    """Row 25."""
    await ground.worker(kinds=OLD)
    novel = [await ground.put(kinds.novel) for _ in range(5)]
    known = [await ground.put(kinds.timed, 0) for _ in range(5)]
    for job_id in known:
        await ground.ended(job_id)
    rows = await ground.jobs(novel)
    assert {(row.state, row.attempt, row.fence) for row in rows} == {("queued", 0, 0)}
    await ground.worker()
    await promises_kept(ground)
    assert {row.attempt for row in await ground.jobs(novel)} == {1}


@on_both_databases
async def test_a_new_worker_hears_of_its_jobs_although_older_ones_are_many(
    ground: Ground,
) -> None:
    """Row 25: each takes messages from the same queue, and most of them do not know the kind."""
    for _ in range(4):
        await ground.worker(kinds=OLD)
    await ground.worker()
    novel = [await ground.put(kinds.novel) for _ in range(20)]

    async def all_done() -> bool:
        return len(await ground.in_state("succeeded", novel)) == len(novel)

    await until(all_done, "the end of the new kind's jobs", 60)
    await promises_kept(ground)
