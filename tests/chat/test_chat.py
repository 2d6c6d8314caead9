"""Asking and reading conversations over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.installation import Installation, asked, ingested


def test_a_beginners_question_gets_a_cited_answer(api: httpx.Client) -> None:
    answer = asked(api, "What is an ETF?")["result"]
    assert answer["outcome"] == "answered"
    assert answer["reason"] is None
    assert "exchange-traded fund" in answer["text"]
    assert answer["citations"][0]["title"] == "What is an ETF?"
    assert answer["disclaimer"]
    assert set(answer) == {
        "message_id", "outcome", "reason", "text", "citations", "calculations", "suggestions", "disclaimer",
        "safety", "degraded", "model", "usage", "timings_ms",
    }  # fmt: skip


def test_every_quote_stands_verbatim_at_its_offsets_in_the_passage_it_names(
    api: httpx.Client,
) -> None:
    answer = asked(api, "How does a bond pay interest?")["result"]
    assert answer["citations"]
    for citation in answer["citations"]:
        passage = api.get(f"/api/v1/content/passages/{citation['passage_id']}").json()
        assert passage["text"][citation["start"] : citation["end"]] == citation["quote"]
        document = api.get(f"/api/v1/content/{citation['document_id']}").json()
        assert document["text"][passage["start"] : passage["end"]] == passage["text"]
        assert document["title"] == citation["title"]


def test_every_marker_in_the_text_has_its_citation_and_the_other_way_round(
    api: httpx.Client,
) -> None:
    import re

    answer = asked(api, "How do I recognise a scam?")["result"]
    markers = {int(number) for number in re.findall(r"\[(\d+)\]", answer["text"])}
    assert (
        markers
        == {citation["n"] for citation in answer["citations"]}
        == set(range(1, len(markers) + 1))
    )


@pytest.mark.parametrize(
    "question",
    [
        "How do I change the oil in a diesel engine?",
        "Who won the football match yesterday?",
        "asdf qwer zxcv",
        "🦊🦊🦊",
    ],
)
def test_a_question_the_library_cannot_answer_is_abstained(
    api: httpx.Client, question: str
) -> None:
    answer = asked(api, question)["result"]
    assert (answer["outcome"], answer["citations"]) == ("abstained", [])
    assert answer["reason"] in ("no_source", "off_topic")
    assert answer["text"]


def test_messages_of_a_conversation_are_kept_in_order_with_their_answers(api: httpx.Client) -> None:
    first = api.post("/api/v1/chat/messages", json={"message": "What is an ETF?"}).json()
    second = asked(api, "What is a bond?", conversation_id=first["conversation_id"])
    conversation = api.get(f"/api/v1/chat/conversations/{first['conversation_id']}").json()
    assert [message["text"] for message in conversation["messages"]] == [
        "What is an ETF?",
        "What is a bond?",
    ]
    assert conversation["messages"][0]["id"] == first["message_id"]
    assert conversation["messages"][1]["answer"] == second["result"]
    listed = api.get("/api/v1/chat/conversations").json()["items"]
    assert [item["title"] for item in listed] == ["What is an ETF?"]


def test_a_deleted_conversation_is_gone_with_its_answers(api: httpx.Client) -> None:
    accepted = api.post(
        "/api/v1/chat/messages", json={"message": "What is an ETF?"}, headers={"Prefer": "wait=20"}
    ).json()
    address = f"/api/v1/chat/conversations/{accepted['conversation_id']}"
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404
    assert api.delete(address).status_code == 404
    assert api.get(f"/api/v1/jobs/{accepted['job']['id']}").json()["result"] is None


def test_somebody_elses_conversation_cannot_be_read_continued_or_deleted(
    api: httpx.Client, installation: Installation
) -> None:
    accepted = api.post("/api/v1/chat/messages", json={"message": "What is an ETF?"}).json()
    wanted = accepted["conversation_id"]
    with installation.client(installation.key()) as stranger:
        assert stranger.get(f"/api/v1/chat/conversations/{wanted}").status_code == 404
        assert stranger.delete(f"/api/v1/chat/conversations/{wanted}").status_code == 404
        continued = stranger.post(
            "/api/v1/chat/messages", json={"message": "Hi", "conversation_id": wanted}
        )
        assert continued.status_code == 404


BAD: list[tuple[str, bytes, int]] = [
    ("empty", b'{"message": ""}', 422),
    ("blank", b'{"message": " \\u0000 \\n"}', 422),
    ("missing", b"{}", 422),
    ("too long", b'{"message": "' + b"a" * 4001 + b'"}', 422),
    ("not UTF-8", b'{"message": "caf\xe9"}', 400),
    ("not JSON", b"message=hello", 400),
    ("a number", b'{"message": 5}', 422),
    ("an unknown field", b'{"message": "hi", "role": "admin"}', 422),
    ("a wrong age", b'{"message": "hi", "context": {"age": -3}}', 422),
    ("a lone surrogate", b'{"message": "\\ud800"}', 400),
]


@pytest.mark.parametrize(("what", "body", "status"), BAD, ids=[what for what, _, _ in BAD])
def test_a_bad_message_is_a_clear_problem_and_writes_nothing(
    api: httpx.Client, what: str, body: bytes, status: int
) -> None:
    response = api.post(
        "/api/v1/chat/messages", content=body, headers={"Content-Type": "application/json"}
    )
    problem: dict[str, Any] = response.json()
    assert response.status_code == status, problem
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "errors", "request_id"} == set(problem)
    assert problem["detail"]
    assert api.get("/api/v1/jobs").json()["items"] == []
    assert api.get("/api/v1/chat/conversations").json()["items"] == []


def test_a_problem_points_at_the_wrong_field(api: httpx.Client) -> None:
    response = api.post("/api/v1/chat/messages", json={"message": "hi", "context": {"age": "old"}})
    [fault] = response.json()["errors"]
    assert fault["pointer"] == "#/context/age"


def test_a_child_under_13_is_told_to_bring_a_grown_up_and_nothing_is_stored(
    api: httpx.Client,
) -> None:
    response = api.post("/api/v1/chat/messages", json={"message": "hi", "context": {"age": 12}})
    assert response.status_code == 403
    assert api.get("/api/v1/chat/conversations").json()["items"] == []


def test_a_deleted_document_is_neither_found_nor_cited_and_comes_back_once(
    api: httpx.Client, admin: httpx.Client
) -> None:
    text = b"# The Zebrafin levy\n\nThe Zebrafin levy is a yearly charge of 7.77 EUR on every Zebrafin account."
    question = "How much is the Zebrafin levy?"
    ingested(admin, "levy.md", text, "text/markdown", key="levy")
    before = asked(api, question)["result"]
    assert "7.77" in before["text"]
    document = before["citations"][0]["document_id"]
    passage = before["citations"][0]["passage_id"]
    assert admin.delete(f"/api/v1/content/documents/{document}").status_code == 204
    after = asked(api, question)["result"]
    assert "7.77" not in after["text"]
    assert document not in [citation["document_id"] for citation in after["citations"]]
    assert api.get(f"/api/v1/content/{document}").status_code == 404
    assert api.get(f"/api/v1/content/passages/{passage}").status_code == 404
    ingested(admin, "levy.md", text, "text/markdown", key="levy")
    again = asked(api, question)["result"]
    assert again["text"].count("7.77") == 1


def test_a_list_is_quoted_whole_though_it_was_cut_into_two_passages(api: httpx.Client) -> None:
    answer = asked(api, "How do I spot a scam?")["result"]
    lines = answer["text"].splitlines()
    [start] = [n for n, line in enumerate(lines) if "warning sign" in line and line.endswith(":")]
    items = [line for line in lines[start + 1 : start + 8] if line.startswith("> - ")]
    assert len(items) == 7
    assert items[-1].endswith("[1][2]")
    for citation in answer["citations"]:
        passage = api.get(f"/api/v1/content/passages/{citation['passage_id']}").json()
        assert passage["text"][citation["start"] : citation["end"]] == citation["quote"]


def test_an_answer_ends_with_a_next_step_that_can_be_asked_or_read(api: httpx.Client) -> None:
    answer = asked(api, "What is an ETF?")["result"]
    step = answer["suggestions"][0]
    assert answer["text"].rstrip().endswith(step["title"])
    assert asked(api, step["ref"])["result"]["outcome"] == "answered"


def test_a_word_that_an_answer_does_not_explain_is_explained_from_the_glossary(
    api: httpx.Client,
) -> None:
    answer = asked(api, "What is an index fund?", context={"age": 14})["result"]
    meanings = [it for it in answer["citations"] if it["title"].startswith("Glossary")]
    for citation in meanings:
        assert f"“{citation['quote']}” [{citation['n']}]" in answer["text"]
        passage = api.get(f"/api/v1/content/passages/{citation['passage_id']}").json()
        assert passage["text"][citation["start"] : citation["end"]] == citation["quote"]
    answer = asked(api, "What does an ETF cost?")["result"]
    assert "spread" not in answer["text"].lower() or "gap" in answer["text"]


def test_an_answer_is_rated_by_its_asker_and_the_last_rating_counts(
    api: httpx.Client, installation: Installation
) -> None:
    job = asked(api, "What is an ETF?")
    address = f"/api/v1/chat/messages/{job['result']['message_id']}/feedback"
    for rating in (2, 5, 5):
        given = {"rating": rating, "comment": "Write to me: jane.doe@example.com"}
        response = api.post(address, json=given)
        assert response.status_code == 200
        assert response.json()["rating"] == rating
        assert "jane.doe" not in response.text
    assert api.post(address, json={"rating": 4}).json() == {"rating": 4, "comment": None}
    with installation.client(installation.key()) as stranger:
        assert stranger.post(address, json={"rating": 1}).status_code == 404
    for bad in ({"rating": 0}, {"rating": 6}, {"rating": "good"}, {}, {"rating": 3, "stars": 3}):
        assert api.post(address, json=bad).status_code == 422
    assert api.post("/api/v1/chat/messages/msg_no/feedback", json={"rating": 3}).status_code == 404
