"""The machine's model, and its steps that accept work."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ai_investment.jobs.enqueue import enqueue, enqueue_many
from ai_investment.jobs.errors import TooManyJobs
from ai_investment.jobs.run import Runner
from tests.jobs.model.expected import LIVE, Expected
from tests.jobs.model.stage import Running, Stage
from tests.jobs.model.told import KINDS, Kind, Refused, Seats, told

T = TypeVar("T")
WORKERS = (0, 1)
# Steps name jobs and runs by number and not through bundles: how many there are may depend on what
# real servers do first, and Hypothesis must be able to draw the same steps again.
PICK = st.integers(0, 7)
WORKER = st.sampled_from(WORKERS)


class Accepting(RuleBasedStateMachine):
    """What the steps share, and those that accept work."""

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
        self.workers = [Runner(self.stage.database, self.stage.bell, self.seats) for _ in WORKERS]

    def _job(self, pick: int, first: Sequence[str]) -> Expected:
        """A job by number; those in the states `first` come first."""
        found = sorted(self.model.values(), key=lambda item: item.state not in first)
        return found[pick % len(found)]

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
