"""The outermost ASGI layer, once per request: ids, trace, log line, metrics, security headers."""

from __future__ import annotations

import logging
import re
import time
from typing import cast

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from ai_investment import trace
from ai_investment.ids import new_id

log = logging.getLogger("ai_investment.requests")

REQUESTS = Counter(
    "http_requests_total", "Requests by route template.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time to the last byte by route template.",
    ["method", "route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 30),
)
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$")
_HTTP = frozenset({"http"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Everything the pages need comes from this origin; data: is Swagger UI's icons.
_CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _CSP,
}


def edge(app: ASGIApp) -> ASGIApp:
    """Wrap the application; the route template is known once the response starts."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _HTTP:  # lifespan events: nothing to record
            await app(scope, receive, send)
            return
        http = cast(HTTPScope, scope)
        received = {
            key: value
            for key, value in scope["headers"]
            if key in (b"x-request-id", b"traceparent")
        }
        request_id = received.get(b"x-request-id", b"").decode("latin-1")
        if not _REQUEST_ID.match(request_id):
            request_id = new_id("req")
        trace.request_id.set(request_id)
        traceparent = trace.continue_trace(received.get(b"traceparent", b"").decode("latin-1"))
        started, status = time.perf_counter(), 500

        async def send_with_ids(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableScopeHeaders(message)
                headers["X-Request-ID"] = request_id
                headers["traceparent"] = traceparent
                for name, value in _SECURITY.items():
                    headers[name] = value
            await send(message)

        try:
            await app(scope, receive, send_with_ids)
        finally:
            _record(http, status, time.perf_counter() - started)

    return handle


def _record(scope: HTTPScope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    # The template, never the raw path: labels stay bounded.
    route = scope.get("path_template") or "unmatched"
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(method, route).observe(seconds)
    log.info(
        "request",
        extra={"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)},
    )
