"""What a job, or a caller of jobs, may run into."""

from __future__ import annotations

from ai_investment.errors import NotFound, Problem


class UnknownJob(NotFound):
    """No such job, or somebody else's."""

    title = "Unknown job"


class Later(Exception):
    """Raised inside a job: not now, try again in `seconds`; costs no attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:.0f} s")
        self.seconds = seconds


class LeaseLost(Exception):
    """Another claim holds the job now: nothing of this run may be written."""


class Crashed(Problem):
    """The job used up its attempts."""

    status, title = 500, "The work failed"


class TooManyStreams(Problem):
    """The cap on open event streams is reached; poll instead, or come back."""

    status, title = 503, "Too many open streams"


class TooManyJobs(Problem):
    """The caller has as many live jobs of this kind as one may have."""

    status, title = 429, "Too many jobs at once"


class NotRetried(Problem):
    """The job is not in a state to be retried from."""

    status, title = 409, "Not retried"
