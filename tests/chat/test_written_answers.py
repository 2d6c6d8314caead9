"""Answers written by a model: the real SDK, the real worker, a server that speaks the protocol."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.doubles.openai_server import Reply, failing, streamed
from tests.faults.scene import QUESTION, QUOTE, TEXT, Scene, reply


def test_a_written_answer_is_verified_cited_and_accounted(scene: Scene) -> None:
    answer = scene.ask(Prefer="wait=20")["job"]["result"]
    assert answer["text"] == f"{TEXT[:-1]} [1].\n\n"
    assert answer["citations"][0]["quote"] == QUOTE
    assert answer["model"] == {
        "provider": "openai",
        "name": "gpt-4.1-mini",
        "prompt_version": "answer.v2",
    }
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (120, 30)
    [received] = scene.model.server.received
    assert QUESTION in json.dumps(received.body)


def test_what_no_passage_says_never_reaches_the_reader(scene: Scene) -> None:
    invented_number = reply("Wombats pay 9 percent.")
    invented_quote = reply("A Wombat fund is safe.", quote="Words that stand in no passage.")
    for told in (invented_number, invented_quote):
        scene.model.answer_with(told)
        answer = scene.ask(Prefer="wait=20")["job"]["result"]
        assert (answer["outcome"], answer["reason"], answer["citations"]) == (
            "abstained",
            "no_source",
            [],
        )
        assert "9 percent" not in answer["text"]
        assert "safe" not in answer["text"]


def test_without_a_passage_the_model_is_not_asked(scene: Scene) -> None:
    question = {"message": "How do I change the oil in a diesel engine?"}
    response = scene.client.post(
        "/api/v1/chat/messages", json=question, headers={"Prefer": "wait=20"}
    )
    assert response.json()["job"]["result"]["outcome"] == "abstained"
    assert scene.model.server.received == []


def test_a_spent_quota_fails_plainly_after_one_call(scene: Scene) -> None:
    quota = {
        "message": "You exceeded your quota",
        "type": "insufficient_quota",
        "code": "insufficient_quota",
    }
    scene.model.answer_with(failing(429, {"error": quota}))
    job = scene.ask(Prefer="wait=20")["job"]
    assert job["state"] == "failed"
    assert "quota" not in job["error"]["detail"].lower()
    assert len(scene.model.server.received) == 1
    assert "quota" in scene.installation.processes["answers"].text()


def test_a_rate_limit_is_waited_out_without_blocking_other_questions(scene: Scene) -> None:
    limited = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    scene.model.answer_with(failing(429, limited, {"retry-after": "4"}), reply())
    first = scene.ask()["job"]["id"]
    scene.model.called(1)
    assert scene.ask(Prefer="wait=20")["job"]["state"] == "succeeded"
    job = scene.finished(first)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    calls = [received.at for received in scene.model.server.received]
    assert len(calls) == 3
    assert calls[2] - calls[0] >= 4


def test_the_providers_key_is_in_no_log_and_no_answer(scene: Scene) -> None:
    scene.model.answer_with(
        failing(401, {"error": {"message": "Incorrect API key: sk-test-canary"}})
    )
    job = scene.ask(Prefer="wait=20")["job"]
    assert (job["state"], job["result"]["degraded"]) == ("succeeded", ["ai_services"])
    assert job["result"]["model"]["provider"] == "extractive"
    assert QUOTE in job["result"]["text"]
    assert "sk-test-canary" not in json.dumps(job)
    # The operator is told, and the provider is left alone for a while.
    checks = scene.client.get("/health/detailed").json()["checks"]
    assert checks["ai_services"]["status"] == "degraded"
    assert "OPENAI_API_KEY" in checks["ai_services"]["detail"]
    assert scene.ask(Prefer="wait=20")["job"]["result"]["degraded"] == ["ai_services"]
    assert len(scene.model.server.received) == 1
    for process in scene.installation.processes.values():
        assert "sk-test-canary" not in process.text()


ALONE, RULED = "What does a Wombat fund own?", "What does Wombat fund own?"


def followed(scene: Scene, *script: Reply) -> tuple[dict[str, Any], list[str]]:
    """The job of a follow-up to a first question, and what the model was sent for it, by form."""
    first = scene.ask(Prefer="wait=20")
    assert len(scene.model.server.received) == 1  # a first message needs no rewriting
    scene.model.answer_with(*script)
    body = {"message": "What does it own?", "conversation_id": first["conversation_id"]}
    asked = scene.client.post("/api/v1/chat/messages", json=body, headers={"Prefer": "wait=20"})
    received = scene.model.server.received
    forms = [it.body["response_format"]["json_schema"]["name"] for it in received]
    assert forms == ["question", "answer"]
    return asked.json()["job"], [json.dumps(it.body["messages"]) for it in received]


def test_a_follow_up_is_written_anew_by_the_model_and_that_is_answered(scene: Scene) -> None:
    job, sent = followed(scene, streamed(json.dumps({"question": ALONE})), reply())
    answer = job["result"]
    assert answer["outcome"] == "answered"
    assert answer["citations"][0]["quote"] == QUOTE
    assert all(text in sent[0] for text in (QUESTION, TEXT[:-1], "What does it own?"))
    assert ALONE in sent[1]
    assert "What does it own?" not in sent[1]
    usage = answer["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (220, 50)
    assert usage["cost_usd"] is not None
    assert set(answer["timings_ms"]) == {"rewriting", "retrieval", "composition"}


@pytest.mark.parametrize(
    "script",
    [
        Reply([6.0]),
        failing(401, {"error": {"message": "Incorrect API key: sk-test-canary"}}),
        failing(429, {"error": {"message": "slow", "code": "rate_limit_exceeded"}}),
        streamed("{"),
    ],
    ids=["slow", "refused", "limited", "broken"],
)
def test_a_follow_up_is_answered_though_the_model_does_not_write_it_anew(
    scene: Scene, script: Reply
) -> None:
    started = time.monotonic()
    job, sent = followed(scene, script, reply())
    assert time.monotonic() - started < 15
    assert (job["state"], job["attempt"], job["result"]["degraded"]) == ("succeeded", 1, [])
    assert RULED in sent[1]
    usage = job["result"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (120, 30)
    for process in scene.installation.processes.values():
        assert "sk-test-canary" not in process.text()


def test_another_subject_that_the_model_brings_in_is_not_answered(scene: Scene) -> None:
    job, sent = followed(scene, streamed('{"question": "What does Zorgcoin own?"}'), reply())
    assert RULED in sent[1]
    assert "Zorgcoin" not in sent[1]
    assert job["result"]["usage"]["input_tokens"] == 220
