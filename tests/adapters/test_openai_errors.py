"""Every error of the SDK ends in a known class, and waits are what servers ask for."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from email.utils import formatdate

import httpx2
import openai
import pytest
from openai import OpenAIError
from openai._exceptions import SubjectTokenProviderError

from ai_investment.adapters.openai_errors import translated, wait_after
from ai_investment.answers.errors import (
    BrokenReply,
    ModelRefused,
    ProviderQuota,
    ProviderRefused,
    ProviderUnavailable,
)
from ai_investment.jobs.errors import Later

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def response(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=REQUEST)


def status_error(kind: type[openai.APIStatusError], status: int, body: object = None) -> Exception:
    if kind is openai.OAuthError:
        return openai.OAuthError(response=response(status), body=body)
    return kind("said", response=response(status), body=body)


EXPECTED: dict[type[BaseException], tuple[Exception, type[Exception]]] = {
    openai.OpenAIError: (OpenAIError("x"), ProviderUnavailable),
    openai.APIError: (openai.APIError("x", REQUEST, body=None), ProviderUnavailable),
    openai.APIConnectionError: (openai.APIConnectionError(request=REQUEST), ProviderUnavailable),
    openai.APITimeoutError: (openai.APITimeoutError(REQUEST), ProviderUnavailable),
    openai.APIResponseValidationError: (
        openai.APIResponseValidationError(response(200), None),
        ProviderUnavailable,
    ),
    openai.APIStatusError: (status_error(openai.APIStatusError, 418), ProviderRefused),
    openai.BadRequestError: (status_error(openai.BadRequestError, 400), ProviderRefused),
    openai.AuthenticationError: (status_error(openai.AuthenticationError, 401), ProviderRefused),
    openai.OAuthError: (status_error(openai.OAuthError, 401), ProviderRefused),
    openai.PermissionDeniedError: (
        status_error(openai.PermissionDeniedError, 403),
        ProviderRefused,
    ),
    openai.NotFoundError: (status_error(openai.NotFoundError, 404), ProviderRefused),
    openai.ConflictError: (status_error(openai.ConflictError, 409), ProviderUnavailable),
    openai.UnprocessableEntityError: (
        status_error(openai.UnprocessableEntityError, 422),
        ProviderRefused,
    ),
    openai.RateLimitError: (status_error(openai.RateLimitError, 429), Later),
    openai.InternalServerError: (
        status_error(openai.InternalServerError, 500),
        ProviderUnavailable,
    ),
    openai.LengthFinishReasonError: (
        openai.LengthFinishReasonError(
            completion=openai.types.chat.ChatCompletion.construct(usage=None)
        ),
        BrokenReply,
    ),
    openai.ContentFilterFinishReasonError: (openai.ContentFilterFinishReasonError(), ModelRefused),
    openai.InvalidWebhookSignatureError: (
        openai.InvalidWebhookSignatureError("x"),
        ProviderUnavailable,
    ),
    openai.WebSocketConnectionClosedError: (
        openai.WebSocketConnectionClosedError("x", unsent_messages=list[str]()),
        ProviderUnavailable,
    ),
    openai.WebSocketQueueFullError: (openai.WebSocketQueueFullError("x"), ProviderUnavailable),
    SubjectTokenProviderError: (SubjectTokenProviderError("x"), ProviderUnavailable),
}


def public_errors() -> Iterator[type[BaseException]]:
    for module in (openai, openai._exceptions):
        for name, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, BaseException) and not name.startswith("_"):
                yield member


def test_no_error_of_the_sdk_is_left_out() -> None:
    assert set(public_errors()) == set(EXPECTED)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_an_error_of_the_sdk_ends_in_a_known_class(kind: type[BaseException]) -> None:
    cause, expected = EXPECTED[kind]
    assert type(cause) is kind
    assert type(translated(cause, "sk-secret")) is expected


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, {"code": "insufficient_quota"}, ProviderQuota),
        (429, {"type": "insufficient_quota", "code": None}, ProviderQuota),
        (429, {"code": "billing_not_active"}, ProviderQuota),
        (402, {"code": 402}, ProviderQuota),
        (429, {"code": "rate_limit_exceeded", "type": "requests"}, Later),
        (429, {"type": {"odd": []}}, Later),
        (429, "too many", Later),
        (429, [{"error": {"code": 429}}], Later),
        (413, None, ProviderRefused),
        (529, None, ProviderUnavailable),
    ],
)
def test_the_body_tells_an_empty_account_from_a_busy_server(
    status: int, error: object, expected: type[Exception]
) -> None:
    cause = openai.APIStatusError("said", response=response(status), body=error)
    assert type(translated(cause, "sk-secret")) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("insufficient_quota", ProviderQuota),
        ("rate_limit_exceeded", Later),
        ("server_error", ProviderUnavailable),
    ],
)
def test_an_error_inside_a_stream_is_told_by_its_code(code: str, expected: type[Exception]) -> None:
    cause = openai.APIError("said", REQUEST, body={"code": code})
    assert type(translated(cause, "sk-secret")) is expected


NOW = time.time()


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "4"}, 4, 4.8),
        ({"retry-after": "1.5"}, 1.5, 1.8),
        ({"retry-after-ms": "2500", "retry-after": "3"}, 2.5, 3),
        # The server's clock is an hour behind ours: its own date says what it means.
        (
            {
                "retry-after": formatdate(NOW - 3570, usegmt=True),
                "date": formatdate(NOW - 3600, usegmt=True),
            },
            30,
            36,
        ),
        ({}, 10, 12),
        ({"retry-after": "soon"}, 10, 12),
        ({"retry-after": "nan"}, 10, 12),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2, 2.4),
        ({"retry-after": "0"}, 1, 1.2),
        ({"retry-after": "-5"}, 1, 1.2),
        ({"retry-after": formatdate(0, usegmt=True)}, 1, 1.2),
        ({"retry-after": "290"}, 290, 300),
        ({"retry-after": "86400"}, 300, 300),
        ({"retry-after": "1e999"}, 300, 300),
    ],
)
def test_a_wait_is_never_shorter_than_asked_and_never_longer_than_five_minutes(
    headers: dict[str, str], least: float, most: float
) -> None:
    for _ in range(50):
        assert least <= wait_after(headers) <= most


def test_a_date_without_the_server_s_clock_counts_from_now() -> None:
    until = formatdate(time.time() + 60, usegmt=True)
    assert 55 <= wait_after({"retry-after": until}) <= 72
