"""A model of the engine's states; a machine that takes the same steps in the model and in the engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)
from sqlalchemy.exc import IntegrityError

from ai_investment.db import Database, db_now
from ai_investment.errors import Problem
from ai_investment.identity.models import UserRow
from ai_investment.ids import new_id
from ai_investment.jobs.bell import Bell, queue_key
from ai_investment.jobs.claim import Claimed, claim
from ai_investment.jobs.declare import JobKind, job
from ai_investment.jobs.enqueue import Changed, Ring, cancel, enqueue, enqueue_many, retry
from ai_investment.jobs.errors import Later, NotRetried, TooManyJobs
from ai_investment.jobs.models import (
    CANCELLED,
    FAILED,
    LIVE,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    TERMINAL,
    Job,
)
from ai_investment.jobs.routes import COLUMNS
from ai_investment.jobs.run import Run, Runner
from ai_investment.jobs.sweep import sweep

T = TypeVar("T")
QUEUE = "delivery"
# Longer than any example: leases end and delays pass when the machine says so, never by themselves.
_LONG = 3600
_LOST = "lease lost"


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


@job("test.told", queue=QUEUE, attempts=3, lease=_LONG)
async def told(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_urgent", queue=QUEUE, attempts=1, lease=_LONG, priority=1)
async def told_urgent(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_few", queue=QUEUE, attempts=2, lease=_LONG, quota=2)
async def told_few(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_only", queue=QUEUE, attempts=2, lease=_LONG, unique="name")
async def told_only(run: Run[Seats], name: str) -> None:
    await _obey(run)


@job("test.told_raced", queue=QUEUE, attempts=3, lease=_LONG)
async def told_raced(run: Run[Seats], name: str) -> None:
    """Its end and its worker's stop come at the same moment."""
    await _obey(run)


KINDS: tuple[JobKind[Seats, [str]], ...] = (told, told_urgent, told_few, told_only)
_NAMES = [kind.name for kind in KINDS]
_ENDS = ("settle", "settle", "return", "return", "refuse", "half", "regret", "break", "later")
_WORKERS = (0, 1)


@dataclass
class Expected:
    """What the model knows of a job."""

    id: str
    kind: JobKind[Seats, [str]]
    owner: str | None
    key: str | None
    state: str = QUEUED
    attempt: int = 0
    fence: int = 0
    due: bool = True
    expired: bool = False
    cancelling: bool = False
    dead: bool = False
    rung: bool = True
    """Whether a message must be on the queue while it waits."""
    marks: int = 0
    """Effects of its success: 1 exactly when it has succeeded by settling."""
    regrets: int = 0
    """Marks left beside a failure, one for each."""

    def wait(self, attempt: int, *, due: bool = True) -> None:
        """Back from running to queued. A cancellation that no heartbeat has seen stays asked for."""
        self.state, self.attempt, self.due, self.rung = QUEUED, attempt, due, True
        self.expired = False

    def finish(self, state: str, *, dead: bool = False) -> None:
        self.state, self.dead, self.expired = state, dead, False

    def end(self, word: str) -> set[str]:
        """Its holder's end; returns the outcomes that the engine may call it."""
        if word in ("settle", "return"):
            self.marks += word == "settle"
            self.finish(SUCCEEDED)
            return {"succeeded"}
        if word == "later":
            self.wait(self.attempt - 1, due=False)
            return {"later"}
        if word == "break":
            if self.attempt < self.kind.attempts:
                self.wait(self.attempt, due=False)
                return {"retry"}
            self.finish(FAILED, dead=True)
            return {"dead"}
        self.finish(FAILED)
        if word == "regret":
            self.regrets += 1
            return {"failed", "succeeded"}  # the run has settled, if with a failure
        return {"failed"}


@dataclass(eq=False)
class Running:
    """A run under way in a worker; it may have lost its job without knowing."""

    claimed: Claimed
    worker: int
    seat: Seat
    task: asyncio.Task[str]

    async def tell(self, word: str) -> None:
        self.seat.idle.clear()
        self.seat.words.put_nowait(word)

    async def settled_down(self) -> None:
        """It has ended, or waits for a word."""
        idle = asyncio.create_task(self.seat.idle.wait())
        await asyncio.wait((self.task, idle), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()


class Stage:
    """One database and one bell for all examples, and a loop that runs only during a step."""

    def __init__(self, database_url: str, bell: Bell, loop: asyncio.Runner) -> None:
        self.bell = bell
        self.loop = loop
        self.database = Database(database_url, self._publish)
        self.heard: set[str] = set()
        """Jobs whose readers were told of a change."""

    async def _publish(self, messages: Sequence[Ring | Changed]) -> None:
        self.heard |= {message.job_id for message in messages if isinstance(message, Changed)}
        await self.bell.publish(messages)

    async def empty(self) -> None:
        async with self.database.transaction() as db:
            await db.execute(sa.delete(Job))
            await db.execute(sa.delete(UserRow))
        await self.bell.redis.flushall()

    async def rows(self) -> dict[str, Any]:
        """Every job, with what the clock says about it."""
        query = sa.select(
            Job.__table__,
            (Job.run_at <= db_now()).label("is_due"),
            (Job.lease_until < db_now()).label("is_expired"),
        )
        async with self.database.reading() as read:
            return {row.id: row for row in await read.execute(query)}

    async def marks(self) -> Counter[str]:
        async with self.database.reading() as read:
            return Counter(await read.scalars(sa.select(UserRow.name)))

    async def now(self) -> datetime:
        async with self.database.reading() as read:
            now: datetime = (await read.execute(sa.select(db_now()))).scalar_one()
        return now

    async def change(self, where: sa.ColumnElement[bool], **values: Any) -> None:
        """Time passes for some jobs: written by hand."""
        async with self.database.transaction() as db:
            await db.execute(sa.update(Job).where(where).values(**values))

    async def messages(self, until: float | str = "+inf") -> set[str]:
        ids = await self.bell.redis.zrangebyscore(queue_key(QUEUE), "-inf", until)
        return {item.decode() for item in ids}


class EngineMachine(RuleBasedStateMachine):
    """Takes steps in the model and in the engine. A test's subclass says on which stage."""

    stage: ClassVar[Stage]
    jobs: Bundle[str] = Bundle("jobs")
    runs: Bundle[Running] = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Expected] = {}
        self.running: list[Running] = []
        self.keepers: dict[tuple[int, str], Running] = {}
        """Whom each worker's heartbeat knows as the run of a job: the one it started last."""
        self.before: dict[str, Any] = {}
        self.retried: set[str] = set()
        self.agreed = False
        self.do(self._open())

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        self.agreed = False
        return self.stage.loop.run(step)

    async def _open(self) -> None:
        await self.stage.empty()
        self.seats = Seats()
        self.workers = [Runner(self.stage.database, self.stage.bell, self.seats) for _ in _WORKERS]

    # Accepting

    @rule(
        target=jobs,
        kind=st.sampled_from(KINDS),
        owner=st.sampled_from((None, "usr_a", "usr_b")),
        name=st.sampled_from("xy"),
    )
    def enqueue(
        self, kind: JobKind[Seats, [str]], owner: str | None, name: str
    ) -> str | MultipleResults[str]:
        try:
            job_id = self.do(self._enqueue(kind, owner, name))
        except TooManyJobs:
            assert self._live(kind, owner) == kind.quota
            return multiple()
        key = f"{kind.name}:{name}" if kind.unique else None
        if key and (holder := self._holder(key)):
            assert job_id == holder
            return multiple()
        self._accepted(Expected(job_id, kind, owner, key))
        return job_id

    async def _enqueue(self, kind: JobKind[Seats, [str]], owner: str | None, name: str) -> str:
        async with self.stage.database.transaction() as db:
            return (await enqueue(db, owner, kind, name)).id

    @rule(target=jobs, count=st.integers(0, 3), owner=st.sampled_from((None, "usr_a")))
    def enqueue_many(self, count: int, owner: str | None) -> MultipleResults[str]:
        async def go() -> list[str]:
            calls = [{"name": str(number)} for number in range(count)]
            async with self.stage.database.transaction() as db:
                return await enqueue_many(db, owner, told, calls)

        ids = self.do(go())
        for job_id in ids:
            self._accepted(Expected(job_id, told, owner, None))
        return multiple(*ids)

    @rule(kind=st.sampled_from(KINDS), name=st.sampled_from("xy"))
    def enqueue_and_roll_back(self, kind: JobKind[Seats, [str]], name: str) -> None:
        async def go() -> None:
            before = await self.stage.messages()
            try:
                async with self.stage.database.transaction() as db:
                    await enqueue(db, None, kind, name)
                    raise Refused
            except Refused:
                pass
            assert await self.stage.messages() == before

        self.do(go())

    def _accepted(self, new: Expected) -> None:
        assert new.id not in self.model
        assert (
            new.owner is None
            or new.kind.quota is None
            or (self._live(new.kind, new.owner) < new.kind.quota)
        )
        self.model[new.id] = new

    def _live(self, kind: JobKind[Seats, [str]], owner: str | None) -> int:
        return sum(
            (item.kind, item.owner) == (kind, owner) and item.state in LIVE
            for item in self.model.values()
        )

    def _holder(self, key: str) -> str | None:
        """The live job that has this unique key."""
        holders = [i.id for i in self.model.values() if i.key == key and i.state in LIVE]
        assert len(holders) <= 1
        return holders[0] if holders else None

    # Claiming and running

    @rule(target=runs, worker=st.sampled_from(_WORKERS), limit=st.integers(1, 4))
    def claim(self, worker: int, limit: int) -> MultipleResults[Running]:
        return multiple(*self.do(self._claim({worker: limit})))

    @rule(target=runs, first=st.integers(1, 3), second=st.integers(1, 3))
    def two_claim_at_once(self, first: int, second: int) -> MultipleResults[Running]:
        return multiple(*self.do(self._claim({0: first, 1: second})))

    async def _claim(
        self, limits: dict[int, int], names: Sequence[str] = tuple(_NAMES)
    ) -> list[Running]:
        """As workers do: take messages, claim rows, start to run them."""
        await self._take(sum(limits.values()))
        waiting = [
            (row.priority, row.turn)
            for row in (await self.stage.rows()).values()
            if row.kind in names and row.state == QUEUED and self.model[row.id].due
        ]
        claims = await asyncio.gather(
            *(claim(self.stage.database, QUEUE, names, limit) for limit in limits.values())
        )
        started = []
        for worker, claimed in zip(limits, claims, strict=True):
            assert len(claimed) <= limits[worker]
            for item in claimed:
                started.append(await self._start(worker, item))
        rows = await self.stage.rows()
        ranks = [(rows[run.claimed.id].priority, rows[run.claimed.id].turn) for run in started]
        assert sorted(ranks) == sorted(waiting)[: sum(limits.values())]
        return started

    async def _take(self, limit: int) -> None:
        all_of_them = await self.stage.messages()
        certain = await self.stage.messages((await self._redis_ms()) - 1)
        count = await self.stage.bell.take(QUEUE, limit)
        gone = all_of_them - await self.stage.messages()
        assert len(gone) == count >= min(limit, len(certain))
        for item in self.model.values():
            if f"{item.id}:{item.attempt + 1}" in gone:
                item.rung = False

    async def _redis_ms(self) -> int:
        seconds, micros = await self.stage.bell.redis.time()
        return int(seconds * 1000 + micros // 1000)

    async def _start(self, worker: int, claimed: Claimed) -> Running:
        item = self.model[claimed.id]
        assert (item.state, item.due) == (QUEUED, True)
        item.state, item.rung = RUNNING, False
        item.attempt += 1
        item.fence += 1
        assert (claimed.attempt, claimed.fence) == (item.attempt, item.fence)
        task = asyncio.create_task(self.workers[worker].run(claimed))
        run = Running(claimed, worker, self.seats.of(claimed), task)
        self.keepers[worker, claimed.id] = run
        self.running.append(run)
        await run.settled_down()
        assert not task.done()
        return run

    def _holds(self, run: Running) -> bool:
        item = self.model[run.claimed.id]
        return item.state == RUNNING and item.fence == run.claimed.fence

    @rule(run=consumes(runs), word=st.sampled_from(_ENDS))
    def end(self, run: Running, word: str) -> None:
        self.do(self._end([(run, word)]))

    @rule(ends=st.lists(st.tuples(consumes(runs), st.sampled_from(_ENDS)), min_size=2, max_size=4))
    def end_together(self, ends: list[tuple[Running, str]]) -> None:
        self.do(self._end(ends))

    async def _end(self, ends: list[tuple[Running, str]]) -> None:
        ends = [(run, word) for run, word in ends if run in self.running]
        holding = [self._holds(run) for run, _ in ends]
        since = await self.stage.now()
        for run, word in ends:
            await run.tell(word)
        outcomes = await asyncio.gather(*(run.task for run, _ in ends))
        for (run, word), holds, outcome in zip(ends, holding, outcomes, strict=True):
            self._ended(run)
            if holds:
                assert outcome in self.model[run.claimed.id].end(word)
                await self._check_delay(run.claimed, word, since)
            else:
                assert outcome == _LOST, outcome

    def _ended(self, run: Running) -> None:
        self.running.remove(run)
        if self.keepers.get((run.worker, run.claimed.id)) is run:
            del self.keepers[run.worker, run.claimed.id]

    async def _check_delay(self, claimed: Claimed, word: str, since: datetime) -> None:
        """A job put off waits as long as was promised; from then on until the machine lets it."""
        if self.model[claimed.id].due:
            return
        row, now = (await self.stage.rows())[claimed.id], await self.stage.now()
        low, high = (
            (60, 60) if word == "later" else (2 ** (claimed.attempt - 1), 2**claimed.attempt)
        )
        rounding = timedelta(milliseconds=2)
        assert row.run_at >= since + timedelta(seconds=low) - rounding
        assert row.run_at <= now + timedelta(seconds=high) + rounding
        await self.stage.change(Job.id == claimed.id, run_at=db_now(_LONG))

    @rule(run=runs)
    def report_progress(self, run: Running) -> None:
        async def go() -> None:
            if run not in self.running:
                return
            holds = self._holds(run)
            await run.tell("progress")
            await run.settled_down()
            assert run.task.done() != holds
            if not holds:
                assert await run.task == _LOST
                self._ended(run)

        self.do(go())

    # Stopping, crashing, cancelling

    @rule(run=consumes(runs))
    def stop_worker(self, run: Running) -> None:
        async def go() -> None:
            if run not in self.running:
                return
            holds = self._holds(run)
            run.task.cancel()
            assert await run.task == ("released" if holds else _LOST)
            self._ended(run)
            if holds:
                item = self.model[run.claimed.id]
                item.wait(item.attempt - 1)

        self.do(go())

    @rule(run=runs, swept=st.booleans())
    def lose_lease(self, run: Running, swept: bool) -> None:
        """The worker has not renewed it in time; it may well live on."""

        async def go() -> None:
            if not self._holds(run):
                return
            await self.stage.change(Job.id == run.claimed.id, lease_until=db_now(-1))
            self.model[run.claimed.id].expired = True
            if swept:
                await self._sweep()

        self.do(go())

    @rule(target=runs, run=runs, worker=st.sampled_from(_WORKERS))
    def take_over(self, run: Running, worker: int) -> MultipleResults[Running]:
        """A lease lost, swept, and everything that waits claimed again."""

        async def go() -> list[Running]:
            if not self._holds(run):
                return []
            await self.stage.change(Job.id == run.claimed.id, lease_until=db_now(-1))
            self.model[run.claimed.id].expired = True
            await self._sweep()
            return await self._claim({worker: 100})

        return multiple(*self.do(go()))

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        async def go() -> None:
            async with self.stage.database.transaction() as db:
                await cancel(db, job_id)

        self.do(go())
        item = self.model[job_id]
        if item.state == QUEUED:
            item.finish(CANCELLED)
        elif item.state == RUNNING:
            item.cancelling = True

    @rule(worker=st.sampled_from(_WORKERS))
    def heartbeat(self, worker: int) -> None:
        """Renews what the worker holds, and ends what it has lost or shall cancel."""

        async def go() -> None:
            keeper = self.workers[worker]._keeper
            await keeper._renew(list(keeper._held.values()))
            for run in [run for (at, _), run in self.keepers.items() if at == worker]:
                item = self.model[run.claimed.id]
                if not self._holds(run):
                    assert await run.task == _LOST
                    self._ended(run)
                elif item.cancelling:
                    assert await run.task == "cancelled"
                    self._ended(run)
                    item.finish(CANCELLED)
                else:
                    assert not run.task.done()
                    item.expired = False

        self.do(go())

    @rule(job_id=jobs)
    def operator_retries(self, job_id: str) -> None:
        item = self.model[job_id]
        taken = item.key is not None and self._holder(item.key) is not None

        async def go() -> bool:
            async with self.stage.database.transaction() as db:
                return await retry(db, job_id)

        try:
            retried = self.do(go())
        except (IntegrityError, NotRetried):
            assert taken
            retried = False
        assert retried == (item.state in (FAILED, CANCELLED) and not taken)
        if retried:
            item.wait(0)
            item.dead = item.cancelling = False
            self.retried.add(job_id)

    @rule(
        word=st.sampled_from(_ENDS),
        worker=st.sampled_from(_WORKERS),
        tenths=st.integers(0, 60),
    )
    def stop_in_the_middle_of_an_end(self, word: str, worker: int, tenths: int) -> None:
        """Whichever comes first: row, effects and outcome tell one story."""

        async def go() -> None:
            job_id = await self._enqueue(told_raced, None, "raced")
            item = self.model[job_id] = Expected(job_id, told_raced, None, None)
            [run] = await self._claim({worker: 1}, [told_raced.name])
            await run.tell(word)
            await asyncio.sleep(tenths / 10_000)
            run.task.cancel()
            [outcome] = await asyncio.gather(run.task, return_exceptions=True)
            self._ended(run)
            row = (await self.stage.rows())[job_id]
            if row.state == RUNNING:  # stopped while it wrote a failure: the lease will run out
                assert isinstance(outcome, asyncio.CancelledError)
            elif row.state == QUEUED and row.attempt == 0 and word != "later":
                assert outcome == "released"
                item.wait(0)
            else:
                # LOST: it was stopped, and then found that its end had been written already.
                assert outcome in item.end(word) | {_LOST} or isinstance(
                    outcome, asyncio.CancelledError
                )
            if row.state == QUEUED:  # out of the way of the other rules' claims
                await self.stage.change(Job.id == job_id, run_at=db_now(_LONG))
                item.due = False

        self.do(go())

    # Time, sweeping, and losing Redis

    @rule(job_id=jobs)
    def its_time_comes(self, job_id: str) -> None:
        self.do(self._let_wait_long([job_id]))

    async def _let_wait_long(self, ids: Sequence[str]) -> None:
        """They have waited for so long that their messages count as lost if they are not there."""
        await self.stage.change(sa.and_(Job.id.in_(ids), Job.state == QUEUED), run_at=db_now(-10))
        for job_id in ids:
            self.model[job_id].due |= self.model[job_id].state == QUEUED

    @rule(sweepers=st.integers(1, 2))
    def sweep(self, sweepers: int) -> None:
        self.do(self._sweep(sweepers))

    async def _sweep(self, sweepers: int = 1) -> None:
        before = await self.stage.messages()
        counts = await asyncio.gather(
            *(sweep(self.stage.database, self.stage.bell) for _ in range(sweepers))
        )
        buried, reclaimed = 0, 0
        for item in self.model.values():
            if item.state == RUNNING and item.expired:
                if item.attempt >= item.kind.attempts:
                    item.finish(FAILED, dead=True)
                    buried += 1
                else:
                    item.wait(item.attempt)
                    reclaimed += 1
        assert sum(count["buried"] for count in counts) == buried
        assert sum(count["reclaimed"] for count in counts) == reclaimed
        new = await self.stage.messages() - before
        for item in self.model.values():
            if f"{item.id}:{item.attempt + 1}" in new:
                assert (item.state, item.due) == (QUEUED, True)
                item.rung = True

    @rule()
    def redis_is_lost(self) -> None:
        self.do(self._lose_redis())

    async def _lose_redis(self) -> None:
        await self.stage.bell.redis.flushall()
        for item in self.model.values():
            item.rung = False

    @rule(lost=st.booleans())
    def every_waiting_job_is_rung_for(self, lost: bool) -> None:
        self.do(self._ring_for_all(lost))

    async def _ring_for_all(self, lost: bool) -> None:
        if lost:
            await self._lose_redis()
        await self._let_wait_long([item.id for item in self.model.values() if item.due])
        await self._sweep()
        rung = await self.stage.messages()
        for item in self.model.values():
            if item.state == QUEUED and item.due:
                assert f"{item.id}:{item.attempt + 1}" in rung

    # After every step

    @invariant()
    def agree(self) -> None:
        self.do(self._agree())
        self.agreed = True

    async def _agree(self) -> None:
        rows = await self.stage.rows()
        assert rows.keys() == self.model.keys()
        for job_id, item in self.model.items():
            self._check_row(item, rows[job_id])
            self._check_change(job_id, self.before.get(job_id), rows[job_id])
        live = [row.unique_key for row in rows.values() if row.unique_key and row.state in LIVE]
        assert len(live) == len(set(live))
        marks = {item.id: item.marks for item in self.model.values()}
        marks |= {f"{item.id} regretted": item.regrets for item in self.model.values()}
        assert await self.stage.marks() == Counter(marks)
        messages = await self.stage.messages()
        for item in self.model.values():
            if item.state == QUEUED and item.rung:
                assert f"{item.id}:{item.attempt + 1}" in messages
        self.before, self.retried = rows, set()
        self.stage.heard.clear()

    def _check_row(self, item: Expected, row: Any) -> None:
        assert (row.state, row.attempt, row.fence) == (item.state, item.attempt, item.fence)
        assert (row.dead, row.cancel_requested) == (item.dead, item.cancelling)
        assert 0 <= row.attempt <= row.max_attempts == item.kind.attempts
        assert (row.state == RUNNING) == (row.lease_until is not None)
        assert (row.state in TERMINAL) == (row.finished_at is not None)
        assert item.marks <= (row.state == SUCCEEDED)
        assert (row.result is not None) == (row.state == SUCCEEDED)
        if row.state == FAILED:
            assert row.error is not None
        if row.state == SUCCEEDED:
            assert row.error is None
            assert row.result == {"fence": row.fence}
        if row.state == QUEUED:
            assert row.is_due == item.due
        if row.state == RUNNING:
            assert row.is_expired == item.expired

    def _check_change(self, job_id: str, old: Any, new: Any) -> None:
        if old is None:
            return
        assert new.fence >= old.fence
        assert new.version >= old.version
        names = [column.key for column in COLUMNS if column.key != "version"]
        if any(getattr(old, name) != getattr(new, name) for name in names):
            assert new.version > old.version
            assert job_id in self.stage.heard
        if old.state in TERMINAL and new.state != old.state:
            assert job_id in self.retried

    def teardown(self) -> None:
        """Everything that was accepted comes to an end, and what lost its job changes nothing."""
        try:
            if self.agreed:
                self.do(self._drain())
                self.agree()
        finally:
            self.do(self._close())

    async def _drain(self) -> None:
        await self._end([(run, "settle") for run in self.running])
        await self.stage.change(Job.state == RUNNING, lease_until=db_now(-1))
        for item in self.model.values():
            item.expired = item.state == RUNNING
        await self._sweep()
        await self._let_wait_long(list(self.model))
        await self._ring_for_all(lost=True)
        started = await self._claim({0: 1000}, [*_NAMES, told_raced.name])
        await self._end([(run, "settle") for run in started])
        assert {item.state for item in self.model.values()} <= set(TERMINAL)

    async def _close(self) -> None:
        for run in self.running:
            run.task.cancel()
        await asyncio.gather(*(run.task for run in self.running), return_exceptions=True)
        for worker in self.workers:
            await worker.close()
