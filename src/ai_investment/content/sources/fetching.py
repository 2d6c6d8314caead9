"""What fetching a URL gives, and how it can fail."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

import msgspec

from ai_investment.errors import Problem


class CannotFetch(Problem):
    """The page cannot be had; the detail is fit for an operator."""

    status, title = 422, "Cannot fetch"


class Refused(CannotFetch):
    """Asking again would change nothing: not allowed, not public, too large, not readable."""


class Gone(CannotFetch):
    """The server says that there is no such page (404 or 410)."""


class TryLater(CannotFetch):
    """It may work later: a time-out, a server in trouble."""

    status = 503


class Busy(TryLater):
    """The host wants fewer requests: it is left alone, by all processes, for `seconds`."""

    def __init__(self, detail: str, seconds: float) -> None:
        super().__init__(detail, retry_after=max(1, round(seconds)))
        self.seconds = seconds


class MissingContact(Problem):
    """The rules of the site want every program to name a contact, and none is set."""

    status, title = 422, "Missing setting"


Rules = Literal["polite", "sec"]
"""`sec`: the SEC's fair-access rules; a 403 means "too fast" there."""


class Fetched(msgspec.Struct, frozen=True):
    """A page. `url` is where redirects ended; `body` is empty when `not_modified`."""

    url: str
    body: bytes
    media_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    not_modified: bool = False


class Fetcher(Protocol):
    """Fetches public pages politely."""

    async def __call__(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        rules: Rules = "polite",
    ) -> Fetched:
        """Raises CannotFetch or MissingContact. With `etag` or `last_modified` of the copy one has, an
        unchanged page comes back as `not_modified`."""
        ...


def retry_after(value: str | None, *, now: datetime) -> float | None:
    """The seconds in a Retry-After header, which holds a number or a date; None when it holds neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
