"""The trace a request or job belongs to, as a W3C `traceparent`; carried by context variables."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
job_id: ContextVar[str | None] = ContextVar("job_id", default=None)


def continue_trace(received: str | None) -> str:
    """Enter a new span of the received trace, or of a new trace when there is none; returns it."""
    match = _TRACEPARENT.match(received or "")
    trace = match[1] if match and match[1] != "0" * 32 else secrets.token_hex(16)
    span = f"00-{trace}-{secrets.token_hex(8)}-{match[3] if match else '00'}"
    _current.set(span)
    return span


def current_traceparent() -> str | None:
    """The traceparent to hand on."""
    return _current.get()


def trace_id() -> str | None:
    """The 32 hex digits of the current trace."""
    current = _current.get()
    return current[3:35] if current else None
