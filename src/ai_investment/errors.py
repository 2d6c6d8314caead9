"""The error that everything may raise and that is rendered once, as RFC 9457 problem+json."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One wrong place in the input: a JSON pointer (or `query/NAME`) and what is wrong there."""

    pointer: str
    detail: str


class Problem(Exception):
    """An outcome to tell the caller about; subclasses live beside what raises them.

    `detail` says what was wrong and what to do, in words fit for the caller. It never holds a secret.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str = "", *, errors: list[Fault] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors or []
        self.retry_after = retry_after

    @property
    def type(self) -> str:
        """A stable URN: the class name in kebab case."""
        name = type(self).__name__
        return "urn:ai-investment:problem:" + "".join(
            f"-{letter.lower()}" if letter.isupper() and index else letter.lower()
            for index, letter in enumerate(name)
        )

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem+json object; `request_id` is left out when there is no request (a job)."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": [msgspec.to_builtins(fault) for fault in self.errors],
        }
        if request_id:
            body["request_id"] = request_id
        return body


class Malformed(Problem):
    """The input does not have the documented form."""

    status, title = 422, "Malformed input"


class NotFound(Problem):
    """There is no such thing, or it is not the caller's: the two are not told apart."""

    status, title = 404, "Not found"


class Unavailable(Problem):
    """A service we need does not answer; the same request may succeed a little later."""

    status, title = 503, "Temporarily unavailable"
