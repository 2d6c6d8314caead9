"""The shipped nginx configuration, run by a real nginx before a real Granian, with gzip on."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_investment.content.routes import MAX_FILE
from ai_investment.jobs.routes import HEARTBEAT
from tests.deploy.conftest import ROOT
from tests.deploy.upstream_app import WORDS
from tests.services import Process, free_port, wait_until

# Ansible renders the configuration first, which takes a while on a busy machine.
pytestmark = pytest.mark.timeout(600)

DOMAIN = "invest.example.org"
CASE = ROOT / "tests" / "cases" / "sse-proxy-buffer"


@dataclass
class Edge:
    folder: Path
    port: int
    plain: int
    gateway: int

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", verify=False, trust_env=False, timeout=20,
            headers={"Host": DOMAIN, **headers},
        )  # fmt: skip


SNI: dict[str, Any] = {"sni_hostname": DOMAIN}


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "tests.deploy.upstream_app:app"]  # fmt: skip
        server = Process(command, Path(folder) / "granian.log", {"PYTHONPATH": str(ROOT)})
        wait_until(lambda: _listens(port), "Granian")
        yield port
        server.kill()


@pytest.fixture(scope="module")
def edge(one_host: dict[str, str], upstream: int) -> Iterator[Edge]:
    # Not below pytest's folder: that is root's alone, and nginx's workers run as another user.
    with tempfile.TemporaryDirectory(prefix="ai-investment-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = Edge(folder, free_port(), free_port(), free_port())
        configuration = moved(one_host["nginx/nginx.conf"], running)
        (folder / "nginx.conf").write_text(configuration)
        (folder / "upstream.conf").write_text(
            one_host["app/upstream.conf"].replace("127.0.0.1:8101", f"127.0.0.1:{upstream}")
        )
        _certificate(folder)
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin")
        assert program, "no nginx: run `just setup`"
        command = [program, "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        server = Process(command, folder / "output")
        wait_until(lambda: _listens(running.port), f"nginx: {server.text()}")
        yield running
        server.stop()


def moved(text: str, edge: Edge) -> str:
    """The shipped text with the places and ports of this test, and nothing else changed."""
    places = {
        "/etc/ai-investment/tls/": f"{edge.folder}/",
        "/etc/nginx/ai-investment-upstream.conf": f"{edge.folder}/upstream.conf",
        "/var/log/nginx/": f"{edge.folder}/",
        "/run/nginx.pid": f"{edge.folder}/pid",
        "/var/www/acme": f"{edge.folder}/acme",
    }
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    ports = {443: edge.port, 80: edge.plain, 8100: edge.gateway}
    for old_port, port in ports.items():
        text = re.sub(rf"(listen (?:\[::\]:|127\.0\.0\.1:)?){old_port}\b", rf"\g<1>{port}", text)
    return text


def _certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={DOMAIN}", "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_events_pass_the_edge_one_by_one(edge: Edge) -> None:
    expected = json.loads((CASE / "expected.json").read_text())
    arrivals: list[float] = []
    started = time.monotonic()
    with (
        edge.client(**{"Accept-Encoding": "gzip"}) as client,
        client.stream("GET", "/api/v1/jobs/job_1/events", extensions=SNI) as response,
    ):
        for chunk in response.iter_raw():
            assert chunk
            arrivals.append(time.monotonic() - started)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in response.headers
    assert response.headers["connection"] == "close"
    assert {"no-cache", "no-transform"} <= set(response.headers["cache-control"].split(", "))
    assert arrivals[0] < expected["first_event_max_s"]
    gaps = [after - before for before, after in pairwise(arrivals)]
    assert max(gaps) < expected["max_gap_s"]
    assert len(arrivals) >= 15
    assert len(arrivals) > WORDS * 0.7


def test_an_idle_stream_and_a_long_wait_outlast_the_edges_patience(
    one_host: dict[str, str],
) -> None:
    text = one_host["nginx/nginx.conf"]
    stream = text[text.index("/events$") :]
    assert int(re.findall(r"proxy_read_timeout (\d+)s", stream)[0]) > 3 * HEARTBEAT
    assert int(re.findall(r"proxy_read_timeout (\d+)s", text)[0]) > 2 * 20


def test_what_a_sender_claims_about_itself_does_not_pass(edge: Edge) -> None:
    claims = {"X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1.2.3.4", "X-Forwarded-Host": "evil.test"}  # fmt: skip
    with edge.client(**claims) as client:
        seen = client.get("/echo", extensions=SNI).json()["headers"]
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert "forwarded" not in seen
    assert "x-forwarded-host" not in seen


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/health/detailed", "/health/detailed/"]
)  # fmt: skip
def test_operators_places_are_closed_to_the_world_and_open_on_the_host(
    edge: Edge, path: str
) -> None:
    raw = subprocess.run(
        ["curl", "-sk", "--path-as-is", "--noproxy", "*", "--resolve", f"{DOMAIN}:{edge.port}:127.0.0.1",
         f"https://{DOMAIN}:{edge.port}{path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(raw.stdout)["status"] == 404
    assert httpx.get(f"http://127.0.0.1:{edge.gateway}/metrics", trust_env=False).is_success


def test_bodies_are_limited_and_files_may_be_as_large_as_the_api_allows(edge: Edge) -> None:
    with edge.client() as client:
        post = [
            client.post(path, content=b"x" * size, extensions=SNI)
            for path, size in (
                ("/api/v1/chat/messages", 300_000),
                ("/api/v1/chat/messages", 600_000),
                ("/api/v1/content/documents", MAX_FILE + 60_000),
                ("/api/v1/content/documents", MAX_FILE + 2_000_000),
            )
        ]
    assert [response.status_code for response in post] == [201, 413, 201, 413]
    assert post[1].headers["content-type"] == "application/problem+json"
    assert post[1].json()["status"] == 413


def test_too_many_requests_at_once_are_told_when_to_come_again(edge: Edge) -> None:
    with edge.client() as client:
        answers = [client.get("/echo", extensions=SNI) for _ in range(200)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["title"] == "Too many requests"
    assert "max-age=63072000" in refused[0].headers["strict-transport-security"]
    time.sleep(4)  # the bucket empties at 20 a second


def test_an_api_that_is_away_is_a_problem_with_a_time_to_come_again(edge: Edge) -> None:
    target = edge.folder / "upstream.conf"
    before = target.read_text()
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin")
    reload = [str(program), "-c", str(edge.folder / "nginx.conf"), "-s", "reload"]
    try:
        target.write_text(re.sub(r"server 127\.0\.0\.1:\d+", f"server 127.0.0.1:{free_port()}", before))  # fmt: skip
        subprocess.run(reload, check=True, capture_output=True)
        answer = _until(edge, 503)
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["title"] == "Not available"
    finally:
        target.write_text(before)
        subprocess.run(reload, check=True, capture_output=True)
        _until(edge, 200)


def _until(edge: Edge, status: int) -> httpx.Response:
    """The first answer with a status; for a moment after a reload nginx's old processes answer too."""
    for _ in range(100):
        with edge.client() as client:
            answer = client.get("/echo", extensions=SNI)
        if answer.status_code == status:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"no answer {status}")


def test_old_protocols_and_other_names_are_refused(edge: Edge) -> None:
    def handshake(name: str | None, newest: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", edge.port), 5) as raw,
            context.wrap_socket(raw, server_hostname=name) as secured,
        ):
            return secured.version()

    assert handshake(DOMAIN, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert handshake(DOMAIN, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    for name, newest in ((DOMAIN, ssl.TLSVersion.TLSv1_1), ("evil.test", ssl.TLSVersion.TLSv1_3), (None, ssl.TLSVersion.TLSv1_3)):  # fmt: skip
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(name, newest)


def test_the_access_log_holds_no_words_of_people(edge: Edge) -> None:
    with edge.client() as client:
        client.get("/echo?q=my-secret-question", extensions=SNI)
    wait_until(lambda: "/echo" in (edge.folder / "access.log").read_text(), "the log line", 15)
    assert "my-secret-question" not in (edge.folder / "access.log").read_text()
