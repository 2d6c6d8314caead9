"""What the model knows of a job."""

from __future__ import annotations

from dataclasses import dataclass

from ai_investment.jobs.models import CANCELLED, FAILED, QUEUED, SUCCEEDED
from tests.jobs.model.told import Kind

LIVE = ("queued", "running")


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
    crashes: int = 0
    regrets: int = 0
    """Marks left beside a failure, one for each."""

    @property
    def message(self) -> str:
        """What announces its next run."""
        return f"{self.id}:{self.attempt + 1}"

    @property
    def suspicion(self) -> int:
        """Of its next run. 1: nothing that has to be apart is run beside it; 2: it has to be apart."""
        if not self.crashes:
            return 0
        return 2 if self.crashes > 1 or self.attempt + 1 == self.kind.attempts else 1

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
