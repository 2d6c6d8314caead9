"""A model of the engine's states; a machine that takes the same steps in the model and in the engine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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
LIVE = ("queued", "running")
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


Kind = JobKind[Seats, [str]]
KINDS: tuple[Kind, ...] = (told, told_urgent, told_few, told_only)
_NAMES = tuple(kind.name for kind in KINDS)
_WORDS = (
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
_WORKERS = (0, 1)
# Steps name jobs and runs by number and not through bundles: how many there are may depend on what
# real servers do first, and Hypothesis must be able to draw the same steps again.
_PICK = st.integers(0, 7)
_WORKER = st.sampled_from(_WORKERS)
_VISIBLE = [column.key for column in COLUMNS if column.key != "version"]


@dataclass
class Expected:
    """What the model knows of a job."""

    id: str
    kind: Kind
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

    @property
    def message(self) -> str:
        """What announces its next run."""
        return f"{self.id}:{self.attempt + 1}"

    def wait(self, attempt: int, *, due: bool = True) -> None:
        """Back from running to queued, or to its end if somebody has asked for that meanwhile."""
        self.state = CANCELLED if self.cancelling else QUEUED
        self.attempt, self.due, self.rung, self.expired = attempt, due, True, False

    def finish(self, state: str, *, dead: bool = False) -> None:
        self.state, self.dead, self.expired = state, dead, False

    def end(self, word: str) -> set[str]:
        """Its holder's end; returns the outcomes that the engine may call it."""
        if word in ("settle", "return"):
            self.marks += word == "settle"
            self.finish(SUCCEEDED)
            return {"succeeded"}
        if word in ("stop", "later"):
            self.wait(self.attempt - 1, due=word == "stop")
            return {"released" if word == "stop" else "later"}
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

    def tell(self, word: str) -> None:
        if word == "stop":  # said to the worker
            self.task.cancel()
        else:
            self.seat.idle.clear()
            self.seat.words.put_nowait(word)

    async def outcome(self) -> str:
        await asyncio.wait((self.task,), timeout=10)
        assert self.task.done(), "it goes on"
        return self.task.result()

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

    async def look(self) -> tuple[dict[str, Any], Counter[str]]:
        """Every job, with what the clock says about it, and all marks."""
        query = sa.select(
            Job.__table__,
            (Job.run_at <= db_now()).label("is_due"),
            (Job.lease_until < db_now()).label("is_expired"),
        )
        async with self.database.reading() as read:
            rows = {row.id: row for row in await read.execute(query)}
            return rows, Counter(await read.scalars(sa.select(UserRow.name)))

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

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Expected] = {}
        self.running: list[Running] = []
        self.keepers: dict[tuple[int, str], Running] = {}
        """Whom each worker's heartbeat knows as the run of a job: the one it started last."""
        self.before: dict[str, Any] = {}
        self.retried: set[str] = set()
        self.raced = 0
        self.agreed = False
        self.do(self._open())

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        self.agreed = False
        return self.stage.loop.run(step)

    async def _open(self) -> None:
        await self.stage.empty()
        self.seats = Seats()
        self.workers = [Runner(self.stage.database, self.stage.bell, self.seats) for _ in _WORKERS]

    def _job(self, pick: int, first: Sequence[str]) -> Expected:
        """A job by number; those in the states `first` come first."""
        found = sorted(self.model.values(), key=lambda item: item.state not in first)
        return found[pick % len(found)]

    async def _run(self, pick: int, *, overtaken: bool = False) -> Running:
        """A run by number; `overtaken`: one that another run can still take over from. There is always one to be had."""

        def found() -> list[Running]:
            return [run for run in self.running if self._can_be_overtaken(run) or not overtaken]

        if not found():
            await self._accept(told, None, "x")
            await self._claim({pick % len(_WORKERS): 100})
        return found()[pick % len(found())]

    def _can_be_overtaken(self, run: Running) -> bool:
        return self._holds(run) and run.claimed.attempt < run.claimed.max_attempts

    # Accepting

    @initialize(
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), limit=st.integers(0, 4)
    )
    def some_wait_and_some_run(self, kinds: list[Kind], limit: int) -> None:
        for kind in kinds:
            self.do(self._accept(kind, None, "x"))
        self.do(self._claim({0: limit}))

    @rule(
        kind=st.sampled_from(KINDS),
        owner=st.sampled_from((None, "usr_a")),
        names=st.text("xy", min_size=1, max_size=3),
    )
    def accept(self, kind: Kind, owner: str | None, names: str) -> None:
        for name in names:
            self.do(self._accept(kind, owner, name))

    @rule(kind=st.sampled_from(KINDS), name=st.sampled_from("xy"))
    def accept_and_roll_back(self, kind: Kind, name: str) -> None:
        self.do(self._accept(kind, None, name, rolled_back=True))

    async def _accept(
        self, kind: Kind, owner: str | None, name: str, *, rolled_back: bool = False
    ) -> None:
        messages = await self.stage.messages()
        try:
            async with self.stage.database.transaction() as db:
                job_id = (await enqueue(db, owner, kind, name)).id
                if rolled_back:
                    raise Refused
        except TooManyJobs:
            assert self._live(kind, owner) == kind.quota
            return
        except Refused:
            assert await self.stage.messages() == messages
            return
        key = f"{kind.name}:{owner or ''}:{name}" if kind.unique else None
        if key and (holder := self._holder(key)):
            assert job_id == holder
        else:
            self._accepted(Expected(job_id, kind, owner, key))

    @rule(count=st.integers(0, 3), owner=st.sampled_from((None, "usr_a")))
    def accept_many(self, count: int, owner: str | None) -> None:
        async def go() -> None:
            calls = [{"name": str(number)} for number in range(count)]
            async with self.stage.database.transaction() as db:
                ids = await enqueue_many(db, owner, told, calls)
            assert len(ids) == count
            for job_id in ids:
                self._accepted(Expected(job_id, told, owner, None))

        self.do(go())

    def _accepted(self, new: Expected) -> None:
        assert new.id not in self.model
        self.model[new.id] = new
        assert new.kind.quota is None or (
            new.owner is None or self._live(new.kind, new.owner) <= new.kind.quota
        )

    def _live(self, kind: Kind, owner: str | None) -> int:
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

    @rule(limits=st.fixed_dictionaries({worker: st.integers(0, 3) for worker in _WORKERS}))
    def claim(self, limits: dict[int, int]) -> None:
        """Both workers at once."""
        self.do(self._claim(limits))

    async def _claim(self, limits: dict[int, int], names: Sequence[str] = _NAMES) -> list[Running]:
        """As workers do: take messages, claim rows, start to run them."""
        limits = {worker: limit for worker, limit in limits.items() if limit}
        total = sum(limits.values())
        await self._take(total)
        rows, _ = await self.stage.look()
        rank = {
            job_id: (row.priority, row.turn)
            for job_id, row in rows.items()
            if row.kind in names and row.state == QUEUED and self.model[job_id].due
        }
        claims = await asyncio.gather(
            *(claim(self.stage.database, QUEUE, names, limit) for limit in limits.values())
        )
        started = []
        for worker, claimed in zip(limits, claims, strict=True):
            assert len(claimed) <= limits[worker]
            started += [await self._start(worker, item) for item in claimed]
        assert sorted(rank[run.claimed.id] for run in started) == sorted(rank.values())[:total]
        return started

    async def _take(self, limit: int) -> None:
        all_of_them = await self.stage.messages()
        certain = await self.stage.messages(time.time() * 1000 - 1)
        count = await self.stage.bell.take(QUEUE, limit) if limit else 0
        gone = all_of_them - await self.stage.messages()
        assert len(gone) == count >= min(limit, len(certain))
        for item in self.model.values():
            item.rung &= item.message not in gone

    async def _start(self, worker: int, claimed: Claimed) -> Running:
        item = self.model[claimed.id]
        assert (item.state, item.due) == (QUEUED, True)
        item.state = RUNNING
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

    @rule(
        ends=st.lists(st.tuples(_PICK, st.sampled_from((*_WORDS, "stop"))), min_size=1, max_size=3)
    )
    def end(self, ends: list[tuple[int, str]]) -> None:
        """Some end at once; each in its own way, and not twice."""

        async def go() -> None:
            chosen: dict[Running, str] = {}
            for pick, word in ends:
                chosen.setdefault(await self._run(pick), word)
            await self._end(chosen)

        self.do(go())

    @rule(worker=_WORKER, words=st.lists(st.sampled_from(_WORDS), min_size=1, max_size=3))
    def work(self, worker: int, words: list[str]) -> None:
        """As most jobs go: claimed and brought to an end."""

        async def go() -> None:
            started = await self._claim({worker: len(words)})
            await self._end(dict(zip(started, words, strict=False)))

        self.do(go())

    async def _end(self, ends: dict[Running, str]) -> None:
        holding = {run for run in ends if self._holds(run)}
        since = await self.stage.now()
        for run, word in ends.items():
            run.tell(word)
        for run, word in ends.items():
            outcome = await run.outcome()
            self._ended(run)
            if run in holding:
                assert outcome in self.model[run.claimed.id].end(word)
                await self._check_delay(run.claimed, word, since)
            elif outcome != _LOST:
                # Only a word for the log: its own end was written by nobody.
                assert (word, outcome) == ("return", "succeeded")
                assert run.claimed.id in {end.claimed.id for end in holding if ends[end] == word}

    def _ended(self, run: Running) -> None:
        self.running.remove(run)
        if self.keepers.get((run.worker, run.claimed.id)) is run:
            del self.keepers[run.worker, run.claimed.id]

    async def _check_delay(self, claimed: Claimed, word: str, since: datetime) -> None:
        """A job put off waits as long as was promised; from then on until the machine lets it."""
        item = self.model[claimed.id]
        if item.state != QUEUED or item.due:
            return
        (rows, _), now = await self.stage.look(), await self.stage.now()
        low, high = (
            (60, 60) if word == "later" else (2 ** (claimed.attempt - 1), 2**claimed.attempt)
        )
        rounding = timedelta(milliseconds=2)
        assert rows[claimed.id].run_at >= since + timedelta(seconds=low) - rounding
        assert rows[claimed.id].run_at <= now + timedelta(seconds=high) + rounding
        await self.stage.change(Job.id == claimed.id, run_at=db_now(_LONG))

    @rule(pick=_PICK)
    def report_progress(self, pick: int) -> None:
        async def go() -> None:
            run = await self._run(pick)
            holds = self._holds(run)
            run.tell("progress")
            await run.settled_down()
            if holds:
                assert not run.task.done()
            else:
                assert await run.outcome() == _LOST
                self._ended(run)

        self.do(go())

    # Crashing, stopping, cancelling, trying again

    @rule(pick=_PICK, swept=st.booleans())
    def lose_lease(self, pick: int, swept: bool) -> None:
        """A worker did not renew it in time; it may well live on."""

        async def go() -> None:
            await self._expire(await self._run(pick), swept)

        self.do(go())

    async def _expire(self, run: Running, swept: bool) -> None:
        if not self._holds(run):
            return
        await self.stage.change(Job.id == run.claimed.id, lease_until=db_now(-1))
        self.model[run.claimed.id].expired = True
        if swept:
            await self._sweep()

    @rule(
        pick=_PICK,
        worker=_WORKER,
        late=st.sampled_from((*_WORDS, "stop", "heartbeat", "heartbeat", None)),
        new=st.sampled_from((*_WORDS, "stop", None)),
    )
    def overtake(self, pick: int, worker: int, late: str | None, new: str | None) -> None:
        """Swept and claimed again while the old run goes on; both may end, at once."""

        async def go() -> None:
            run = await self._run(pick, overtaken=True)
            await self._expire(run, swept=True)
            started = await self._claim({worker: 100})
            ends = dict.fromkeys(started, new) if new else {}
            if late == "heartbeat":
                await self._heartbeat(run.worker)
            elif late:
                ends[run] = late
            await self._end(ends)

        self.do(go())

    @rule(worker=_WORKER)
    def heartbeat(self, worker: int) -> None:
        self.do(self._heartbeat(worker))

    async def _heartbeat(self, worker: int) -> None:
        """Renews what the worker holds, and ends what it has lost or shall cancel."""
        keeper = self.workers[worker]._keeper
        await keeper._renew(list(keeper._held.values()))
        for run in [run for (where, _), run in self.keepers.items() if where == worker]:
            item = self.model[run.claimed.id]
            if not self._holds(run):
                assert await run.outcome() == _LOST
                self._ended(run)
            elif item.cancelling:
                assert await run.outcome() == "cancelled"
                self._ended(run)
                item.finish(CANCELLED)
            else:
                assert not run.task.done()
                item.expired = False

    @rule(
        pick=_PICK,
        then=st.sampled_from((None, "heartbeat", "heartbeat", "crash", "stop", *_WORDS)),
        retried=st.booleans(),
    )
    def cancel(self, pick: int, then: str | None, retried: bool) -> None:
        async def go() -> None:
            item = self._job(pick, (RUNNING,))
            async with self.stage.database.transaction() as db:
                await cancel(db, item.id)
            if item.state == QUEUED:
                item.finish(CANCELLED)
            elif item.state == RUNNING:
                item.cancelling = True
            await self._go_on(item, then)
            if retried:
                await self._retry(item)

        self.do(go())

    async def _go_on(self, item: Expected, then: str | None) -> None:
        """What may happen to a running job that shall stop."""
        holders = [run for run in self.running if run.claimed.id == item.id and self._holds(run)]
        if then == "heartbeat":
            for worker in _WORKERS:
                await self._heartbeat(worker)
        elif then == "crash":
            for run in holders:
                await self._expire(run, swept=True)
        elif then:
            await self._end(dict.fromkeys(holders, then))

    @rule(pick=_PICK)
    def operator_retries(self, pick: int) -> None:
        self.do(self._retry(self._job(pick, (FAILED, CANCELLED))))

    async def _retry(self, item: Expected) -> None:
        taken = item.key is not None and self._holder(item.key) is not None
        try:
            async with self.stage.database.transaction() as db:
                retried = await retry(db, item.id)
        except (IntegrityError, NotRetried):
            assert taken
            retried = False
        assert retried == (item.state in (FAILED, CANCELLED) and not taken)
        if retried:
            item.dead = item.cancelling = False
            item.wait(0)
            self.retried.add(item.id)

    @precondition(lambda self: self.raced < 2)
    @rule(word=st.sampled_from(_WORDS), worker=_WORKER, tenths=st.integers(0, 60))
    def stop_in_the_middle_of_an_end(self, word: str, worker: int, tenths: int) -> None:
        """Whichever comes first: row, effects and outcome tell one story."""
        self.raced += 1
        self.do(self._race(word, worker, tenths / 10_000))

    async def _race(self, word: str, worker: int, seconds: float) -> None:
        await self._accept(told_raced, None, "x")
        [run] = await self._claim({worker: 1}, [told_raced.name])
        item = self.model[run.claimed.id]
        run.tell(word)
        await asyncio.sleep(seconds)
        run.tell("stop")
        outcome = await run.outcome()
        self._ended(run)
        row = (await self.stage.look())[0][item.id]
        outcomes = item.end("stop" if outcome == "released" else word)
        if outcome == _LOST:  # its end had been written already, and nobody was told
            assert row.state in TERMINAL
            self.stage.heard.add(item.id)
        else:
            assert outcome in outcomes
        if row.state == QUEUED:  # out of the way of other claims
            await self.stage.change(Job.id == item.id, run_at=db_now(_LONG))
            item.due = False

    # Time, sweeping, and losing Redis

    @rule(pick=_PICK)
    def its_time_comes(self, pick: int) -> None:
        waiting = [item for item in self.model.values() if item.state == QUEUED and not item.due]
        if waiting:
            self.do(self._let_wait_long([waiting[pick % len(waiting)]]))

    async def _let_wait_long(self, items: Sequence[Expected]) -> None:
        """They have waited for so long that their messages count as lost if they are not there."""
        ids = [item.id for item in items if item.state == QUEUED]
        await self.stage.change(Job.id.in_(ids), run_at=db_now(-10))
        for job_id in ids:
            self.model[job_id].due = True

    @rule(redis=st.sampled_from(("there", "lost before", "lost after")), sweepers=st.integers(1, 2))
    def sweep(self, redis: str, sweepers: int) -> None:
        async def go() -> None:
            if redis == "lost before":
                await self._lose_redis()
                await self._ring_again()
            await self._sweep(sweepers)
            if redis == "lost after":
                await self._lose_redis()

        self.do(go())

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
                    # Its readers are not told: they look again by themselves.
                    self.stage.heard.add(item.id)
        assert sum(count["buried"] for count in counts) == buried
        assert sum(count["reclaimed"] for count in counts) == reclaimed
        for message in await self.stage.messages() - before:
            item = self.model[message.partition(":")[0]]
            assert item.message == message
            self._check_rung(item)
            item.rung = True

    def _check_rung(self, item: Expected) -> None:
        # One that was cancelled on its way back may be rung for: nobody claims it.
        assert (item.state == QUEUED and item.due) or (item.state == CANCELLED and item.cancelling)

    async def _lose_redis(self) -> None:
        await self.stage.bell.redis.flushall()
        for item in self.model.values():
            item.rung = False

    async def _ring_again(self) -> None:
        """After a loss, everything that is due gets its message back, and nothing else does."""
        await self._let_wait_long([item for item in self.model.values() if item.due])
        await self._sweep()
        rung = await self.stage.messages(time.time() * 1000)
        for item in self.model.values():
            if item.message in rung:
                self._check_rung(item)
            else:
                assert item.state != QUEUED or not item.due

    # After every step

    @invariant()
    def agree(self) -> None:
        self.do(self._agree())
        self.agreed = True

    async def _agree(self) -> None:
        rows, found = await self.stage.look()
        assert rows.keys() == self.model.keys()
        for job_id, item in self.model.items():
            self._check_row(item, rows[job_id])
            if job_id in self.before:
                self._check_change(self.before[job_id], rows[job_id])
        live = [row.unique_key for row in rows.values() if row.unique_key and row.state in LIVE]
        assert len(live) == len(set(live))
        marks = {item.id: item.marks for item in self.model.values()}
        marks |= {f"{item.id} regretted": item.regrets for item in self.model.values()}
        assert found == Counter(marks)
        messages = await self.stage.messages()
        for item in self.model.values():
            assert item.message in messages or item.state != QUEUED or not item.rung
        self.before, self.retried = rows, set()
        self.stage.heard.clear()

    def _check_row(self, item: Expected, row: Any) -> None:
        assert (row.state, row.attempt, row.fence) == (item.state, item.attempt, item.fence)
        assert (row.dead, row.cancel_requested) == (item.dead, item.cancelling)
        assert 0 <= row.attempt <= row.max_attempts == item.kind.attempts
        assert (row.state == RUNNING) == (row.lease_until is not None)
        assert (row.state in TERMINAL) == (row.finished_at is not None)
        assert item.marks <= (row.state == SUCCEEDED)
        assert row.result == ({"fence": row.fence} if row.state == SUCCEEDED else None)
        if row.state in (SUCCEEDED, FAILED):
            assert (row.error is None) == (row.state == SUCCEEDED)
        if row.state == QUEUED:
            assert row.is_due == item.due
        if row.state == RUNNING:
            assert row.is_expired == item.expired

    def _check_change(self, old: Any, new: Any) -> None:
        assert new.fence >= old.fence
        assert new.version >= old.version
        if any(getattr(old, name) != getattr(new, name) for name in _VISIBLE):
            assert new.version > old.version
            assert new.id in self.stage.heard
        if old.state in TERMINAL and new.state != old.state:
            assert new.id in self.retried

    def teardown(self) -> None:
        """Everything that was accepted comes to an end, and what lost its job changes nothing."""
        try:
            if self.agreed:
                self.do(self._drain())
                self.agree()
        finally:
            self.do(self._close())

    async def _drain(self) -> None:
        await self._end(dict.fromkeys(self.running, "return"))
        await self.stage.change(Job.state == RUNNING, lease_until=db_now(-1))
        for item in self.model.values():
            item.expired = item.state == RUNNING
        await self._sweep()
        await self._let_wait_long(list(self.model.values()))
        await self._lose_redis()
        await self._ring_again()
        started = await self._claim({0: 1000}, [*_NAMES, told_raced.name])
        await self._end(dict.fromkeys(started, "return"))
        assert {item.state for item in self.model.values()} <= set(TERMINAL)

    async def _close(self) -> None:
        for run in self.running:
            run.task.cancel()
        await asyncio.gather(*(run.task for run in self.running), return_exceptions=True)
        for worker in self.workers:
            await worker.close()
