"""Calculators as the model's tools, servers that speak less of the protocol, replies in prose, costs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ai_investment.adapters.openai_prices import cost
from ai_investment.answers.answer import answer_question
from ai_investment.answers.errors import BrokenReply, ProviderRefused
from ai_investment.answers.models import ANYBODY, Computed, Fault, Reader, Statement, Usage
from ai_investment.content.find import Found, Passage
from tests.adapters.answering import (
    CASES,
    ETF,
    FIRST,
    PASSAGES,
    QUESTION,
    answering,
    composed,
    failure,
    passage,
    reply_json,
    statement,
)
from tests.doubles.openai_server import (
    DONE,
    Reply,
    chunk,
    event,
    failing,
    streamed,
    usage_chunk,
)

GROWTH = '{"principal": 1000, "annual_rate": 0.05, "periods_per_year": 1, "years": 10}'
RESULT: dict[str, Any] = {"text": "You would have $1,628.89.", "citations": [], "calculated": True}


def calling(*pieces: str, name: str = "compound_interest", finish: str = "tool_calls") -> Reply:
    """A reply that calls a tool, its arguments in pieces."""
    deltas: list[dict[str, Any]] = [
        {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
    ]
    deltas += [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    steps = [
        event({"choices": [{"index": 0, "delta": {"tool_calls": [it]}, "finish_reason": None}]})
        for it in deltas
    ]
    return Reply([*steps, chunk(finish=finish), usage_chunk(50, 10), DONE])


async def given(*replies: Reply) -> tuple[list[Any], list[Any]]:
    """The items of one question, and the bodies of the requests that were sent for it."""
    async with answering(*replies) as (answerer, server):
        items = [item async for item in answerer.compose(QUESTION, PASSAGES)]
        return items, [received.body for received in server.received]


async def test_the_model_computes_with_a_calculator_and_tells_the_result() -> None:
    items, requests = await given(calling(GROWTH[:20], GROWTH[20:]), streamed(reply_json(RESULT)))
    computed, told, usage = items
    assert isinstance(computed, Computed)
    assert computed.name == "compound_interest"
    assert computed.result == pytest.approx(1628.89, abs=0.01)
    assert told == Statement(RESULT["text"], [], computed=True)
    assert usage == Usage(150, 30)
    assert "compound_interest" in {tool["function"]["name"] for tool in requests[0]["tools"]}
    asked, answered = requests[1]["messages"][-2:]
    assert asked["tool_calls"][0]["function"]["arguments"] == GROWTH
    assert answered["tool_call_id"] == "call_1"
    assert "1628.89" in answered["content"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (calling('{"principal": 1000, "ann'), "Not JSON"),
        (calling('{"principal": 1000, "ann', finish="length"), "Not JSON"),
        (calling('{"principal": "much"}'), "pointer"),
        (calling("[1]"), "errors"),
        (calling("{}", name="moon_phase"), "no calculator"),
        (calling('{"begin": -1, "end": 5, "years": 1}', name="cagr"), "not_positive"),
    ],
    ids=["cut", "cut at the limit", "wrong type", "no object", "unknown tool", "undefined"],
)
async def test_a_call_that_cannot_be_computed_is_told_to_the_model_and_gives_no_calculation(
    call: Reply, told: str
) -> None:
    items, requests = await given(call, streamed(reply_json(FIRST)))
    assert items[:-1] == [statement(FIRST)]
    assert told in requests[1]["messages"][-1]["content"]


async def test_a_model_that_only_calls_tools_is_stopped_after_four_rounds() -> None:
    error, server = await failure(calling(GROWTH))
    assert isinstance(error, BrokenReply)
    assert len(server.received) == 4
    assert server.received[-1].body["tool_choice"] == "none"


async def test_a_server_that_does_not_know_a_part_of_the_protocol_is_asked_without_it() -> None:
    def unknown(words: str) -> Reply:
        return failing(400, {"error": {"message": words, "type": "invalid_request_error"}})

    async with answering(
        unknown("response_format json_schema is not supported"),
        unknown("Unknown parameter: tools"),
        unknown("unsupported: stream_options"),
        unknown("'response_format' of type json_object is not available"),
        streamed(f"```json\n{reply_json(FIRST)}\n```"),
    ) as (answerer, server):
        items = [item async for item in answerer.compose(QUESTION, PASSAGES)]
        assert items[0] == statement(FIRST)
        [*_, last] = [received.body for received in server.received]
        assert not {"response_format", "tools", "stream_options"} & set(last)
        # What is known now is not tried again.
        [_ async for _ in answerer.compose(QUESTION, PASSAGES)]
        assert len(server.received) == 6


async def test_any_other_refusal_is_final() -> None:
    refused = {"error": {"message": "the model does not exist", "type": "invalid_request_error"}}
    error, server = await failure(failing(400, refused))
    assert isinstance(error, ProviderRefused)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["An ETF is a fund [1]. It co", "sts little [2].", " Really."], ["An ETF is a fund.", "It costs little.", "Really."]),
        (["An ETF is a fund. [1]\n\nIt costs", " little. [2]"], ["An ETF is a fund.", "It costs little."]),
        (["An ETF [1] is a fund."], ["An ETF is a fund."]),
    ],
)  # fmt: skip
async def test_prose_with_markers_is_read_sentence_by_sentence(
    pieces: list[str], expected: list[str]
) -> None:
    statements, _, _ = await composed(streamed(*pieces))
    assert [item.text for item in statements] == expected


async def shown(case: str, file: str, passages: list[Passage]) -> Any:
    """The answer to a recorded stream, from the wire to the reader."""
    stream = (CASES / case / file).read_text("utf-8")
    async with answering(Reply([stream])) as (answerer, server):

        async def find(_: str) -> Found:
            return Found(passages, answers=True)

        async def show(_: str) -> None:
            return None

        answer = await answer_question("msg_1", QUESTION, find=find, answerer=answerer, show=show)
        return answer, server


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("stream.txt", Usage(412, 18)),
        ("stream_no_usage.txt", Usage()),
        ("stream_empty_first.txt", Usage()),
    ],
)
async def test_recorded_streams_in_prose_reach_the_reader_verified(file: str, told: Usage) -> None:
    expected = json.loads((CASES / "llm-usage-chunk" / "expected.json").read_text("utf-8"))
    answer, _ = await shown("llm-usage-chunk", file, PASSAGES)
    assert answer.text == f"{expected['text']}\n\n"
    assert [citation.quote for citation in answer.citations] == [ETF]
    assert answer.usage == told


async def test_without_a_source_nothing_is_said_and_the_model_is_not_asked() -> None:
    case = CASES / "rag-empty-retrieval"
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    reply = (case / "model_reply.txt").read_text("utf-8")
    for question in (case / "questions.txt").read_text("utf-8").splitlines():
        for passages in ([], [passage(1, ETF)]):  # nothing at all, and nothing about it

            async def find(_: str, found: list[Passage] = passages) -> Found:
                return Found(found)

            async def show(_: str) -> None:
                return None

            async with answering(streamed(reply)) as (answerer, server):
                answer = await answer_question(
                    "m", question, find=find, answerer=answerer, show=show
                )
            assert (answer.outcome, answer.reason) == ("abstained", "no_source")
            assert len(answer.citations) == expected["citations"]
            assert not [word for word in expected["must_not_contain"] if word in answer.text]
            assert passages or not server.received


async def test_what_was_not_accepted_is_asked_for_once_more_with_the_reason() -> None:
    wrong = {**FIRST, "text": "An ETF is a fund with 9 percent profit."}
    async with answering(streamed(reply_json(wrong)), streamed(reply_json(FIRST))) as (
        answerer,
        server,
    ):

        async def find(_: str) -> Found:
            return Found(PASSAGES, answers=True)

        pieces: list[str] = []

        async def show(piece: str) -> None:
            pieces.append(piece)

        answer = await answer_question("m", QUESTION, find=find, answerer=answerer, show=show)
        assert answer.outcome == "answered"
        assert "9 percent" not in "".join(pieces)
        assert answer.usage == Usage(200, 40)
        [_, again] = [received.body["messages"][-1]["content"] for received in server.received]
        assert "An ETF is a fund with 9 percent profit." in again
        assert "a number without a source" in again


async def test_the_readers_age_sets_the_level() -> None:
    async with answering(streamed(reply_json(FIRST))) as (answerer, server):
        for age, words in (
            (14, "between 13 and 15"),
            (17, "16 or 17"),
            (40, "adult"),
            (None, "adult"),
        ):
            reader = Reader("usr_1", age)
            [_ async for _ in answerer.compose(QUESTION, PASSAGES, reader)]
            assert words in server.received[-1].body["messages"][0]["content"]
            faults = [Fault("A.", "B")]
            [_ async for _ in answerer.repair(QUESTION, PASSAGES, ANYBODY, faults)]


def test_cost_is_computed_from_the_dated_table_and_unknown_for_other_models() -> None:
    assert str(cost("gpt-4.1-mini", 1_000_000, 1_000_000)) == "2.00"
    assert cost("gpt-4.1-mini-2025-04-14", 1000, 0) == cost("gpt-4.1-mini", 1000, 0)
    assert cost("stand-in", 1, 1) is None
