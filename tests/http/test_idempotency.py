"""Idempotency keys over HTTP: the same request twice has one effect and one answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.http.idempotency import canonical
from tests.installation import Installation

ASK = "/api/v1/chat/messages"
CASE = Path(__file__).parents[1] / "cases" / "http-idempotency"


def post(client: httpx.Client, key: str, content: str) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return client.post(ASK, content=content, headers=headers)


def asked(client: httpx.Client) -> int:
    return len(client.get("/api/v1/jobs", params={"limit": 100}).json()["items"])


def test_the_same_key_and_body_gives_the_same_job_also_with_other_key_order(
    api: httpx.Client,
) -> None:
    first = post(api, "k1", '{"message": "What is a fund?", "context": {"age": 15}}')
    again = post(api, "k1", '{ "context": {"age": 15},  "message": "What is a fund?"}')
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["job"]["id"] == first.json()["job"]["id"]
    assert again.json()["message_id"] == first.json()["message_id"]
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert asked(api) == 1


def test_the_same_key_with_another_body_is_422_and_changes_nothing(api: httpx.Client) -> None:
    post(api, "k1", '{"message": "What is a fund?"}')
    other = post(api, "k1", '{"message": "What is a bond?"}')
    assert other.status_code == 422
    assert other.json()["title"] == "Idempotency key used for another request"
    assert asked(api) == 1


def test_a_key_belongs_to_its_caller(api: httpx.Client, installation: Installation) -> None:
    mine = post(api, "k1", '{"message": "What is a fund?"}')
    with installation.client(installation.key()) as other:
        theirs = post(other, "k1", '{"message": "What is a fund?"}')
    assert theirs.json()["job"]["id"] != mine.json()["job"]["id"]


def test_ten_at_once_are_one_job(api: httpx.Client) -> None:
    with ThreadPoolExecutor(10) as threads:
        answers = list(
            threads.map(lambda _: post(api, "k2", '{"message": "What is risk?"}'), range(10))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job"]["id"] for answer in answers}) == 1
    assert asked(api) == 1


def test_a_refused_request_does_not_use_up_its_key(api: httpx.Client) -> None:
    assert post(api, "k3", '{"message": ""}').status_code == 422
    assert post(api, "k3", '{"message": "What is a share?"}').status_code == 202


@pytest.mark.parametrize("key", ["x" * 201, "a\tb"])
def test_a_key_that_cannot_be_one_is_422(api: httpx.Client, key: str) -> None:
    assert post(api, key, '{"message": "What is a share?"}').status_code == 422
    assert asked(api) == 0


def question(trade: dict[str, str]) -> str:
    """The trade as a question, in the order of its members; none about a trade that cannot be."""
    possible = trade["symbol"] and not trade["quantity"].startswith("-")
    members = {
        "message": f"What if I {trade['type']} {trade['quantity']}?" if possible else "",
        "context": {"budget": f"{trade['symbol']} {trade['price']}"},
    }
    known_order = next(iter(trade)) == "type"
    return json.dumps(members if known_order else dict(reversed(members.items())))


def quantities(client: httpx.Client) -> list[int]:
    """What was asked about, from the stored conversations."""
    titles = [item["title"] for item in client.get("/api/v1/chat/conversations").json()["items"]]
    return sorted(int(title.strip("?").rsplit(" ")[-1]) for title in titles)


def test_seven_writes_with_keys_create_what_their_case_says(
    api: httpx.Client, installation: Installation
) -> None:
    """tests/cases/http-idempotency: the fourth is somebody else's, the fifth is sent ten times at once."""
    lines = [json.loads(line) for line in (CASE / "requests.jsonl").read_text().splitlines()]
    expected = json.loads((CASE / "expected.json").read_text())
    answers: dict[int, list[httpx.Response]] = {}
    with installation.client(installation.key()) as other, ThreadPoolExecutor(10) as threads:
        for line in lines:
            client, body = other if line.get("user") else api, question(line["body"])
            sent = [
                threads.submit(post, client, line["key"], body)
                for _ in range(line.get("parallel", 1))
            ]
            answers[line["n"]] = [answer.result() for answer in sent]
        assert sum(quantities(other)) == int(expected["quantity_other"])
    status = {n: {answer.status_code for answer in sent} for n, sent in answers.items()}
    assert status == {1: {202}, 2: {202}, 3: {422}, 4: {202}, 5: {202}, 6: {422}, 7: {202}}
    ids = {n: {answer.json()["message_id"] for answer in answers[n]} for n in (1, 2, 4, 5, 7)}
    assert ids[1] == ids[2]
    assert len(set().union(*ids.values())) == 4
    assert quantities(api) == [1, 2, 4]
    assert str(sum(quantities(api))) in expected["quantity_user"]


def test_a_replay_waits_with_prefer_like_the_first_would(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k5", "Prefer": "wait=20"}
    first = api.post(ASK, json={"message": "What is a fund?"}, headers=headers)
    again = api.post(ASK, json={"message": "What is a fund?"}, headers=headers)
    assert first.json()["job"]["state"] == "succeeded"
    assert again.json()["job"]["id"] == first.json()["job"]["id"]


def test_a_file_sent_again_with_its_key_is_one_document(admin: httpx.Client) -> None:
    def send() -> Any:
        return admin.post(
            "/api/v1/content/documents",
            files={"file": ("once.md", b"Once is enough for a once bond.", "text/markdown")},
            headers={"Idempotency-Key": "file-1"},
        ).json()

    first, again = send(), send()
    assert again["job"]["id"] == first["job"]["id"]


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_the_order_of_members_does_not_matter(members: dict[str, Any]) -> None:
    forward = json.dumps(members).encode()
    backward = json.dumps(dict(reversed(members.items())), indent=1).encode()
    assert canonical(forward) == canonical(backward)
