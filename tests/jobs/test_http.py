"""/jobs over HTTP, on a whole installation with each database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.installation import Installation, asked


@pytest.fixture
def job(api: httpx.Client) -> dict[str, Any]:
    return asked(api, "What is a bond?")


def test_a_slow_post_answers_202_with_the_place_of_its_job(api: httpx.Client) -> None:
    response = api.post("/api/v1/chat/messages", json={"message": "What is a share?"})
    body = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/jobs/{body['job']['id']}"
    assert int(response.headers["retry-after"]) >= 1
    assert body["job"]["state"] == "queued"
    assert set(body) == {"job", "conversation_id", "message_id"}


def test_a_job_has_the_documented_shape(job: dict[str, Any]) -> None:
    assert set(job) == {
        "id", "kind", "state", "attempt", "max_attempts", "progress", "created_at", "started_at",
        "finished_at", "result", "error", "links",
    }  # fmt: skip
    assert job["kind"] == "chat.answer_message"
    assert set(job["progress"]) == {"stage", "done", "total"}
    assert job["created_at"].endswith("Z")
    assert job["links"]["events"] == f"/api/v1/jobs/{job['id']}/events"


def test_prefer_wait_answers_200_with_the_finished_job(api: httpx.Client) -> None:
    response = api.post(
        "/api/v1/chat/messages",
        json={"message": "What is a fund?"},
        headers={"Prefer": "respond-async, wait=20"},
    )
    assert response.status_code == 200
    assert response.json()["job"]["state"] == "succeeded"
    assert response.json()["job"]["result"]["outcome"] == "answered"
    assert response.headers["preference-applied"] == "wait=20"


def test_an_unchanged_job_is_304_by_its_etag(api: httpx.Client, job: dict[str, Any]) -> None:
    first = api.get(job["links"]["self"])
    again = api.get(job["links"]["self"], headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for fits in (f"W/{first.headers['etag']}", f'"x", {first.headers["etag"]}', "*"):
        assert api.get(job["links"]["self"], headers={"If-None-Match": fits}).status_code == 304
    other = api.get(job["links"]["self"], headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


def test_a_long_poll_returns_as_soon_as_the_job_ends(api: httpx.Client) -> None:
    accepted = api.post("/api/v1/chat/messages", json={"message": "What is inflation?"}).json()
    started = time.monotonic()
    job = api.get(f"/api/v1/jobs/{accepted['job']['id']}", params={"wait": 20}).json()
    assert job["state"] == "succeeded"
    # Not a speed claim: a poll that missed the wake-up would come back at its full 20 s.
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("wait", ["-1", "21", "soon"])
def test_a_wait_out_of_bounds_is_a_clear_problem(
    api: httpx.Client, job: dict[str, Any], wait: str
) -> None:
    response = api.get(job["links"]["self"], params={"wait": wait})
    assert response.status_code == 422
    assert "wait" in response.json()["errors"][0]["pointer"]


def test_an_unknown_job_is_404(api: httpx.Client) -> None:
    response = api.get("/api/v1/jobs/job_unknown")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Unknown job"
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "suffix"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("GET", "?wait=1")]
)
def test_somebody_elses_job_looks_like_no_job(
    installation: Installation, job: dict[str, Any], method: str, suffix: str
) -> None:
    with installation.client(installation.key()) as stranger:
        response = stranger.request(method, job["links"]["self"] + suffix)
    assert response.status_code == 404
    assert response.json()["title"] == "Unknown job"


def test_jobs_are_listed_newest_first_by_pages_and_only_ones_own(api: httpx.Client) -> None:
    ids = [asked(api, f"What is risk, question {number}?")["id"] for number in range(3)]
    first = api.get("/api/v1/jobs", params={"limit": 2}).json()
    second = api.get("/api/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    assert api.get("/api/v1/jobs", params={"state": "failed"}).json()["items"] == []
    assert api.get("/api/v1/jobs", params={"cursor": "' OR 1=1"}).status_code == 422


def events(
    client: httpx.Client, job_id: str, last_event_id: str | None = None
) -> Iterator[dict[str, str]]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with client.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        event: dict[str, str] = {}
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                if "event" in event:
                    yield event
                event = {}


def test_the_stream_tells_progress_and_text_and_ends_with_the_job(api: httpx.Client) -> None:
    accepted = api.post("/api/v1/chat/messages", json={"message": "What is a dividend?"}).json()
    seen = list(events(api, accepted["job"]["id"]))
    assert [event["event"] for event in seen][-1] == "done"
    assert {"progress", "delta", "done"} == {event["event"] for event in seen}
    import json

    done = json.loads(seen[-1]["data"])
    streamed = "".join(
        json.loads(event["data"])["text"] for event in seen if event["event"] == "delta"
    )
    assert done["state"] == "succeeded"
    assert streamed == done["result"]["text"]


def test_a_stream_resumes_after_the_last_event_seen_without_gap_or_repeat(
    api: httpx.Client, job: dict[str, Any]
) -> None:
    everything = list(events(api, job["id"]))
    middle = everything[1]["id"]
    rest = list(events(api, job["id"], middle))
    assert rest == everything[2:]


def test_a_finished_job_can_be_cancelled_without_effect(
    api: httpx.Client, job: dict[str, Any]
) -> None:
    response = api.post(job["links"]["cancel"])
    assert response.status_code == 200
    assert response.json()["state"] == "succeeded"


def test_many_readers_wait_for_one_job_at_once(
    api: httpx.Client, installation: Installation
) -> None:
    accepted = api.post("/api/v1/chat/messages", json={"message": "What is a budget?"}).json()
    states: list[str] = []

    def read() -> None:
        response = httpx.get(
            f"{installation.url}/api/v1/jobs/{accepted['job']['id']}",
            params={"wait": 20}, headers=dict(api.headers), timeout=40, trust_env=False,
        )  # fmt: skip
        states.append(response.json()["state"])

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["succeeded"] * 20


def test_many_readers_at_once_do_not_starve_each_other(
    api: httpx.Client, installation: Installation
) -> None:
    def read(_: int) -> int:
        return httpx.get(
            f"{installation.url}/api/v1/jobs",
            headers=dict(api.headers),
            timeout=40,
            trust_env=False,
        ).status_code

    with ThreadPoolExecutor(40) as threads:
        assert set(threads.map(read, range(40))) == {200}


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs/%00", "/api/v1/jobs?state=%00", "/api/v1/chat/conversations/%00"]
)
def test_characters_that_no_database_stores_are_a_clear_problem(
    api: httpx.Client, path: str
) -> None:
    response = api.get(path)
    assert response.status_code in (200, 404, 422)
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
