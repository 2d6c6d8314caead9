"""The internal listener of the API and of a worker, on real processes."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import new_database
from tests.installation import Installation
from tests.services import RedisServer, free_port, wait_until


@pytest.fixture(scope="module")
def listening(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Installation]]:
    """The API and a worker on one database, each with an internal listener."""
    folder: Path = tmp_path_factory.mktemp("internal")
    redis = RedisServer(folder)
    env = {
        "SECRET_KEY": "s" * 32,
        "JWT_SECRET_KEY": "j" * 32,
        "DATABASE_URL": new_database("sqlite", request, folder),
        "REDIS_URL": redis.url,
        "AI_INVESTMENT_DATA_DIRECTORY": str(folder),
    }
    started = {}
    for name in ("api", "pipeline"):
        started[name] = Installation(folder, {**env, "METRICS_PORT": str(free_port())})
        started[name].start(name)
    yield started
    for installation in started.values():
        installation.stop()
    redis.process.kill()


def get(installation: Installation, path: str) -> httpx.Response:
    address = f"http://127.0.0.1:{installation.env['METRICS_PORT']}{path}"
    return httpx.get(address, timeout=10, trust_env=False)


@pytest.mark.parametrize("name", ["api", "pipeline"])
def test_health_and_metrics_need_no_key(listening: dict[str, Installation], name: str) -> None:
    assert get(listening[name], "/health").text == "ok\n"
    assert re.search(r"process_resident_memory_bytes [1-9]", get(listening[name], "/metrics").text)


def test_the_apis_metrics_are_those_operators_see(listening: dict[str, Installation]) -> None:
    public = listening["api"]
    with public.client() as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/no/such/place").status_code == 404
    text = get(public, "/metrics").text
    assert 'route="unmatched",status="404"' in text
    assert 'jobs_oldest_waiting_seconds{queue="answers"} 0.0' in text


@pytest.mark.parametrize("path", ["/", "/api/v1/jobs", "/health/detailed", "/metrics/../docs"])
def test_nothing_else_is_there(listening: dict[str, Installation], path: str) -> None:
    assert get(listening["api"], path).status_code == 404


def test_a_process_that_hangs_is_not_alive(listening: dict[str, Installation]) -> None:
    worker = listening["pipeline"]
    worker.processes["pipeline"].signal(signal.SIGSTOP)
    with pytest.raises(httpx.TimeoutException):
        httpx.get(f"http://127.0.0.1:{worker.env['METRICS_PORT']}/health", timeout=1)
    worker.processes["pipeline"].signal(signal.SIGCONT)
    wait_until(lambda: get(worker, "/health").is_success, "the worker being alive again")
