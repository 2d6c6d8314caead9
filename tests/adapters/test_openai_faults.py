"""What a model's server can do wrong, over the wire, and what a job sees of it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from typing import Any

import pytest

from ai_investment.adapters.openai import OpenAIAnswerer
from ai_investment.answers.errors import (
    BrokenReply,
    ModelRefused,
    ProviderQuota,
    ProviderRefused,
    ProviderUnavailable,
)
from ai_investment.answers.models import Usage
from ai_investment.jobs.errors import Later
from ai_investment.settings import InvalidSettings, Settings
from tests.adapters.answering import (
    CASES,
    FIRST,
    KEY,
    PASSAGES,
    QUESTION,
    SECOND,
    answering,
    failure,
    reply_json,
    statement,
)
from tests.doubles.openai_server import (
    CUT,
    DONE,
    OpenAIServer,
    Reply,
    chunk,
    event,
    failing,
    streamed,
    usage_chunk,
)

HALF = reply_json(FIRST, SECOND)[:-30]
WHOLE = reply_json(FIRST)


@pytest.mark.parametrize(
    "steps",
    [
        [chunk(HALF), chunk(finish="length"), DONE],
        [chunk(WHOLE), chunk(finish="length"), DONE],
        [chunk(HALF)],
        [chunk(WHOLE)],
        [chunk(HALF), chunk(finish="stop"), usage_chunk(1, 1), DONE],
        [chunk("I think ETFs are funds."), chunk(finish="stop"), DONE],
        [chunk('{"statements": 5}'), chunk(finish="stop"), DONE],
        [chunk("[1]}"), chunk(finish="stop"), DONE],
        [chunk("{}"), chunk(finish="stop"), DONE],
        [chunk('{"answerable":true,"statements":[{"text":"A."}]}'), chunk(finish="stop"), DONE],
        [chunk(finish="stop"), DONE],
        [],
    ],
)
async def test_a_cut_or_malformed_reply_is_never_a_success(steps: list[str]) -> None:
    assert isinstance((await failure(Reply(steps)))[0], BrokenReply)


@pytest.mark.parametrize(
    "steps",
    [
        [chunk(HALF), CUT],
        [CUT],
        [chunk(HALF), "data: {not json\n\n", DONE],
        [chunk(HALF), event({"error": {"message": "overloaded", "type": "server_error"}})],
    ],
)
async def test_a_connection_that_breaks_is_worth_a_retry(steps: list[Any]) -> None:
    assert isinstance((await failure(Reply(steps)))[0], ProviderUnavailable)


async def test_a_refusal_and_a_content_filter_end_the_job_with_a_plain_problem() -> None:
    refusal = event(
        {"choices": [{"index": 0, "delta": {"refusal": "I cannot"}, "finish_reason": None}]}
    )
    azure = {"error": {"message": "filtered", "type": None, "code": "content_filter"}}
    for reply in (
        Reply([refusal, chunk(finish="stop"), DONE]),
        Reply([chunk(HALF), chunk(finish="content_filter"), DONE]),
        failing(400, azure),
    ):
        error, _ = await failure(reply)
        assert isinstance(error, ModelRefused)
        assert "declined" in error.detail


async def test_a_used_up_quota_is_final_and_only_operators_read_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = CASES / "llm-quota-and-retry-after"
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    started = time.monotonic()
    error, server = await failure(
        failing(429, json.loads((case / "quota.json").read_text("utf-8")))
    )
    assert time.monotonic() - started < 3
    assert len(server.received) <= expected["quota_max_calls"]
    assert isinstance(error, ProviderQuota)
    assert "not available right now" in error.detail
    assert "quota" not in error.detail.lower()
    assert "quota" in caplog.text


async def test_a_rate_limit_waits_as_long_as_asked_and_the_next_call_succeeds() -> None:
    case = CASES / "llm-quota-and-retry-after"
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    limit = failing(429, json.loads((case / "rate.json").read_text("utf-8")), {"Retry-After": "4"})
    async with answering(limit, streamed(reply_json(FIRST))) as (answerer, server):
        with pytest.raises(Later) as raised:
            [item async for item in answerer.compose(QUESTION, PASSAGES)]
        assert expected["rate_min_gap_s"] <= raised.value.seconds <= 4.8
        assert len(server.received) == 1
        [first, _] = [item async for item in answerer.compose(QUESTION, PASSAGES)]
        assert first == statement(FIRST)
        assert len(server.received) == expected["rate_calls"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 409])
async def test_a_fault_on_the_other_side_is_worth_a_retry(status: int) -> None:
    error, server = await failure(
        failing(status, {"error": {"message": "oops"}}, {"Retry-After": "7"})
    )
    assert isinstance(error, ProviderUnavailable)
    assert len(server.received) == 1


@pytest.mark.parametrize("steps", [[], [chunk(HALF)]])
async def test_a_server_that_hangs_is_left_within_the_time_limit(steps: list[str]) -> None:
    started = time.monotonic()
    error, _ = await failure(Reply([*steps, asyncio.Event()]), time_limit=0.3)
    assert isinstance(error, ProviderUnavailable)
    assert time.monotonic() - started < 2


async def test_a_server_that_trickles_is_left_within_the_time_limit() -> None:
    started = time.monotonic()
    error, _ = await failure(Reply([chunk(" "), 0.05] * 200), time_limit=0.5)
    assert isinstance(error, ProviderUnavailable)
    assert time.monotonic() - started < 2


async def test_nobody_listening_is_worth_a_retry() -> None:
    async with answering(Reply()) as (answerer, server):
        await server.__aexit__(None, None, None)
        with pytest.raises(ProviderUnavailable):
            [item async for item in answerer.compose(QUESTION, PASSAGES)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
async def test_the_key_is_in_no_error_and_no_log(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = {"error": {"message": f"Incorrect API key {KEY} provided", "code": "bad", "type": KEY}}
    error, server = await failure(failing(status, said))
    assert server.received[0].headers["authorization"].endswith(KEY)
    assert isinstance(error, (ProviderRefused, Later, ProviderUnavailable))
    caplog.records.append(
        logging.makeLogRecord({"msg": "".join(traceback.format_exception(error))})
    )
    for record in caplog.records:
        assert KEY not in record.getMessage()
        assert KEY not in repr(vars(record))
    assert (error.__cause__, error.__context__) == (None, None)
    assert KEY not in repr((vars(error), error.args))


@pytest.mark.parametrize("key", ["", "  ", "sk-a\nb", "sk-…", "sk a"])
def test_a_key_that_cannot_be_one_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        OpenAIAnswerer(Settings(openai_api_key=key))
    assert "OPENAI_API_KEY" in str(raised.value)
    assert len(key.strip()) < 2 or key not in str(raised.value)


async def test_a_line_break_after_the_key_does_no_harm() -> None:
    async with OpenAIServer(streamed(reply_json())) as server:
        answerer = OpenAIAnswerer(
            Settings(openai_api_key=KEY + "\n", openai_base_url=server.base_url)
        )
        told = [item async for item in answerer.compose(QUESTION, PASSAGES)]
        assert told == [Usage(100, 20, "0.000072")]
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
        await answerer.close()
