"""Health, metrics, reference pages and the edge, over HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.installation import Installation, asked
from tests.services import wait_until


def test_health_names_the_version(installation: Installation) -> None:
    with installation.client() as client:
        body = client.get("/health").json()
    assert set(body) == {"status", "version"}


def test_detailed_health_looks_at_everything_and_shows_no_secret_and_no_host(
    installation: Installation, admin: httpx.Client
) -> None:
    response = admin.get("/health/detailed")
    body = response.json()
    assert set(body) == {"status", "timestamp", "checks"}
    assert set(body["checks"]) == {
        "database", "cache", "queue", "vector_store", "firestore", "ai_services", "data_pipeline", "external_apis",
    }  # fmt: skip
    for check in body["checks"].values():
        assert set(check) == {"status", "latency_ms", "detail"}
    assert body["status"] == "healthy", body
    for secret in ("127.0.0.1", "localhost", installation.env["SECRET_KEY"], "postgres@"):
        assert secret not in response.text


def test_metrics_count_requests_by_route_template_and_jobs_by_kind_and_state(
    api: httpx.Client, admin: httpx.Client
) -> None:
    job = asked(api, "What is an ETF?")
    api.get("/api/v1/no/such/place")
    text = admin.get("/metrics").text
    assert 'route="/api/v1/jobs/{job_id}"' in text
    assert job["id"] not in text
    assert "no/such/place" not in text
    assert re.search(r'jobs\{kind="chat.answer_message",state="succeeded"\} [1-9]', text)
    assert re.search(r'jobs_oldest_waiting_seconds\{queue="answers"\} ', text)


def test_the_reference_page_needs_nothing_from_the_network(installation: Installation) -> None:
    with installation.client() as client:
        page = client.get("/docs")
        assert page.status_code == 200
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
        for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            asset = client.get(address)
            assert asset.status_code == 200, address
            assert len(asset.content) > 50
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert client.get("/docs/assets/../../app.py").status_code == 404


def test_the_openapi_document_names_every_documented_route(installation: Installation) -> None:
    with installation.client() as client:
        document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path in (
        "/api/v1/jobs/{job_id}",
        "/api/v1/chat/messages",
        "/api/v1/content/documents",
        "/health",
    ):
        assert path in document["paths"]
    operations = [
        item["operationId"] for methods in document["paths"].values() for item in methods.values()
    ]
    assert len(operations) == len(set(operations))


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/api/v1/jobs", 405)]
)
def test_unknown_places_and_methods_are_problems_too(
    installation: Installation, method: str, path: str, status: int
) -> None:
    with installation.client() as client:
        response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert (response.headers.get("allow") is not None) == (status == 405)


def test_the_trace_and_request_id_go_in_and_out_and_into_logs_of_api_and_worker(
    installation: Installation, api: httpx.Client
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {
        "X-Request-ID": "my-request.1",
        "traceparent": f"00-{trace}-b7ad6b7169203331-01",
        "Prefer": "wait=20",
    }
    response = api.post("/api/v1/chat/messages", json={"message": "What is a fund?"}, headers=sent)
    assert response.headers["x-request-id"] == "my-request.1"
    assert response.headers["traceparent"].split("-")[1] == trace
    job_id = response.json()["job"]["id"]
    request = log_line(installation, "api", "my-request.1")
    assert (request["trace_id"], request["status"]) == (trace, 200)
    job = log_line(installation, "answers", job_id)
    assert (job["trace_id"], job["outcome"]) == (trace, "succeeded")


def log_line(installation: Installation, process: str, word: str) -> dict[str, Any]:
    """The last line with this word; it is written after the response, so not at once."""
    text = installation.processes[process].text
    wait_until(lambda: word in text(), f"a log line with {word}", 5)
    line: dict[str, Any] = json.loads([line for line in text().splitlines() if word in line][-1])
    return line


def test_a_forged_request_id_is_replaced(installation: Installation) -> None:
    with installation.client() as client:
        response = client.get("/health", headers={"X-Request-ID": "a b<script>"})
    assert response.headers["x-request-id"].startswith("req_")


def test_log_lines_are_json_and_hold_no_question_and_no_key(
    installation: Installation, api: httpx.Client
) -> None:
    asked(api, "What is my zanzibar canary?")
    for name, process in installation.processes.items():
        text = process.text()
        assert "zanzibar" not in text, name
        assert api.headers["x-api-key"] not in text, name
        assert installation.env["SECRET_KEY"] not in text, name
        for line in text.splitlines():
            json.loads(line)
