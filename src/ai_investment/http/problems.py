"""Rendering every error as RFC 9457 problem+json, in one place."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import sqlalchemy.exc
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from ai_investment import trace
from ai_investment.errors import Fault, Malformed, NotFound, Problem, Unavailable
from ai_investment.http.idempotency import Replayed

log = logging.getLogger(__name__)


class MethodNotAllowed(Problem):
    status, title = 405, "Method not allowed"


class TooLarge(Problem):
    status, title = 413, "Too large"


class BadRequest(Problem):
    status, title = 400, "Bad request"


_BY_STATUS: dict[int, type[Problem]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    422: Malformed,
}


def problem_response(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        msgspec.json.encode(problem.body(trace.request_id.get())),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=headers,
    )


def _on_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return problem_response(request, problem)


def _on_validation(request: Request[Any, Any, Any], cause: ValidationException) -> Response[bytes]:
    faults = [_fault(item) for item in cause.extra or [] if isinstance(item, dict)]
    detail = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults) or cause.detail
    return problem_response(request, Malformed(detail, errors=faults))


def _fault(item: dict[str, Any]) -> Fault:
    """Litestar's `{message, key, source}` as a JSON pointer for bodies, `source/name` otherwise."""
    key, message = str(item.get("key") or ""), str(item.get("message", ""))
    message, _, path = message.partition(" - at `$")
    path = path.rstrip("`") or (f".{key}" if key else "")
    pointer = path.replace("[", ".").replace("]", "").replace(".", "/")
    # `data` is what the handler calls the body.
    pointer = "" if pointer == "/data" else pointer
    source = item.get("source") or "body"
    return Fault(
        f"#{pointer}" if source == "body" else f"{getattr(source, 'value', source)}{pointer}",
        message,
    )


def _on_http(request: Request[Any, Any, Any], cause: HTTPException) -> Response[bytes]:
    kind = _BY_STATUS.get(cause.status_code, BadRequest if cause.status_code < 500 else Problem)
    detail = "" if cause.status_code >= 500 else cause.detail
    if kind is NotFound:
        detail = "There is nothing at this address."
    response = problem_response(request, kind(detail))
    if allowed := (cause.headers or {}).get("allow"):
        response.headers["Allow"] = allowed
    return response


def _on_not_text(request: Request[Any, Any, Any], cause: UnicodeDecodeError) -> Response[bytes]:
    return problem_response(
        request, BadRequest(f"The body is not UTF-8 text (byte {cause.start}: {cause.reason}).")
    )


class Conflict(Problem):
    status, title = 409, "Conflict"


def _on_database(request: Request[Any, Any, Any], cause: Exception) -> Response[bytes]:
    """Drivers tell almost everything as one class; the SQLSTATE says whose fault it is."""
    state = str(getattr(getattr(cause, "orig", None), "sqlstate", None) or "")
    log.warning("database: %s %s", type(cause).__name__, state)
    if state.startswith("22"):
        return problem_response(
            request, Malformed("A value has characters or a size that cannot be stored.")
        )
    if isinstance(cause, sqlalchemy.exc.IntegrityError):
        return problem_response(
            request, Conflict("Another request has just changed the same thing.")
        )
    return problem_response(
        request, Unavailable("A service we need does not answer right now.", retry_after=2)
    )


def _on_anything(request: Request[Any, Any, Any], cause: Exception) -> Response[bytes]:
    log.error("unhandled %s", type(cause).__name__, exc_info=cause)
    return problem_response(
        request, Problem("Something went wrong on our side; the request id names it in our log.")
    )


def _on_replay(request: Request[Any, Any, Any], replayed: Replayed) -> Response[Any]:
    return replayed.response


exception_handlers: dict[Any, Any] = {
    Replayed: _on_replay,
    Problem: _on_problem,
    ValidationException: _on_validation,
    HTTPException: _on_http,
    sqlalchemy.exc.DBAPIError: _on_database,
    sqlalchemy.exc.TimeoutError: _on_database,
    OSError: _on_database,
    UnicodeDecodeError: _on_not_text,
    Exception: _on_anything,
}
