"""What can go wrong with a model provider, and the one place where the SDK's errors become ours."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz

import openai

from ai_investment.answers.errors import (
    BrokenReply,
    ModelRefused,
    ProviderQuota,
    ProviderRefused,
    ProviderUnavailable,
)
from ai_investment.jobs.errors import Later

log = logging.getLogger(__name__)

_PLAIN = (
    "Answers are not available right now. The people who run this service have to look into it, "
    "so asking again at once will not help."
)
_DECLINED = "The language model declined to answer this question. Try asking it in another way."

# What providers call an account that cannot pay; no wait of seconds heals it.
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_RATE = frozenset({"rate_limit_exceeded", "rate_limit_error"})
_FILTERED = frozenset({"content_filter", "content_policy_violation"})
_PAYMENT_REQUIRED, _TOO_MANY = 402, 429
# Request timeout, lock conflict, too early: the same request may pass a little later.
_PASSING = frozenset({408, 409, 425})

_WAIT_DEFAULT, _WAIT_LEAST, _WAIT_CAP = 10.0, 1.0, 300.0
_JITTER = 0.2
_SAID_AT_MOST = 300


def declined() -> ModelRefused:
    """The problem to raise when the reply itself says that the model declined."""
    return ModelRefused(_DECLINED)


def translated(cause: Exception, secret: str) -> Exception:
    """Our error for one of the SDK, noted for operators.

    Raise it outside of the `except` block: providers repeat requests in their messages, and a chained
    cause would carry them into logs. `secret` is removed from what is noted.
    """
    error, noted = _known(cause)
    for_operators = isinstance(error, (ProviderQuota, ProviderRefused))
    log.log(
        logging.ERROR if for_operators else logging.WARNING,
        "model provider: %s",
        noted,
        extra={
            "error": type(cause).__name__,
            "status": getattr(cause, "status_code", None),
            "code": getattr(cause, "code", None),
            "provider_request_id": getattr(cause, "request_id", None),
            "said": str(cause).replace(secret, "***")[:_SAID_AT_MOST],
        },
    )
    return error


def _known(cause: Exception) -> tuple[Exception, str]:
    """Our error, and what it means in an operator's words."""
    status = cause.status_code if isinstance(cause, openai.APIStatusError) else None
    # An error inside a stream has no status; its code and type are all there is. Servers may send any
    # JSON as the type.
    names = {cause.code, str(cause.type)} if isinstance(cause, openai.APIError) else set()
    if names & _QUOTA or status == _PAYMENT_REQUIRED:
        return ProviderQuota(_PLAIN), "quota used up or account not paid; waiting will not help"
    if names & _FILTERED or isinstance(cause, openai.ContentFilterFinishReasonError):
        return declined(), "stopped by the provider's content filter"
    if status == _TOO_MANY or (status is None and names & _RATE):
        seconds = wait_after(
            cause.response.headers if isinstance(cause, openai.APIStatusError) else {}
        )
        return Later(seconds), f"rate limit; again in {seconds:.1f} s"
    if isinstance(cause, openai.LengthFinishReasonError):
        return BrokenReply("the reply was cut at the length limit"), "reply cut at the length limit"
    if status is not None and status < 500 and status not in _PASSING:
        return ProviderRefused(
            _PLAIN
        ), "request refused; check OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL"
    name = type(cause).__name__
    return ProviderUnavailable(f"{name} {status}" if status else name), "not available"


def wait_after(headers: Mapping[str, str]) -> float:
    """Seconds to stay away after a 429, from its headers (lower-case names).

    What the server asks for, else 10; at least 1 and at most 300. Up to a fifth is added, so that
    workers do not come back together.
    """
    asked = min(max(_asked(headers), _WAIT_LEAST), _WAIT_CAP)
    return min(asked * random.uniform(1, 1 + _JITTER), _WAIT_CAP)


def _asked(headers: Mapping[str, str]) -> float:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if not math.isnan(seconds):
            return seconds
    until = _timestamp(headers.get("retry-after", ""))
    if until is None:
        return _WAIT_DEFAULT
    # The date is on the server's clock, which may differ from ours.
    return until - (_timestamp(headers.get("date", "")) or time.time())


def _timestamp(http_date: str) -> float | None:
    try:
        parts = parsedate_tz(http_date)
        return float(mktime_tz(parts)) if parts else None
    except (ValueError, OverflowError):
        return None
