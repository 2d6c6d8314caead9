"""The production Compose file's Nginx, run by a real nginx before a real Granian: what it lets in, and what a roll does to it."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_investment.content.routes import MAX_FILE
from ai_investment.jobs.routes import HEARTBEAT
from tests.manifests.render import ROOT
from tests.services import Process, free_port, wait_until

NGINX = ROOT / "gitops" / "compose"


class Edge:
    """Nginx with the shipped files, moved to a folder and to ports of this test."""

    def __init__(self, folder: Path, upstreams: tuple[int, ...]) -> None:
        self.folder, self.port, self.plain = folder, free_port(), free_port()
        folder.chmod(0o755)  # nginx's workers run as another user
        [self.program] = [shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin")]
        assert self.program, "no nginx: run `just setup`"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", folder / "tls_key", "-out", folder / "tls_certificate"],
            check=True, capture_output=True,
        )  # fmt: skip
        self.lead_to(*upstreams)
        (folder / "nginx.conf").write_text(self._moved((NGINX / "nginx.conf").read_text()))
        command = [self.program, "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        subprocess.run([*command[:3], "-t", "-q"], check=True)
        self.process = Process(command, folder / "output")
        wait_until(lambda: listens(self.port), f"nginx: {self.process.text()}")

    def _moved(self, text: str) -> str:
        moves = {
            "/run/secrets/": f"{self.folder}/",
            "/etc/nginx/upstream/": f"{self.folder}/",
            "/tmp/": f"{self.folder}/",
            "listen 8443 ssl;": f"listen {self.port} ssl;",
            "listen 8080;": f"listen {self.plain};",
            "/dev/stdout": f"{self.folder}/access.log",
        }
        assert [old for old in moves if old not in text] == []
        text = re.sub("|".join(map(re.escape, moves)), lambda found: moves[found[0]], text)
        # Debian 12's nginx is older than this directive; the image's is not.
        said = subprocess.run([str(self.program), "-v"], capture_output=True, text=True).stderr
        old_nginx = tuple(map(int, said.split("/")[1].split()[0].split("."))) < (1, 25, 1)
        assert "http2 on;" in text
        return text.replace("http2 on;", "") if old_nginx else text

    def lead_to(self, *ports: int) -> None:
        """What scripts/roll writes, with ports of this computer in place of names of containers."""
        shipped = (NGINX / "upstream" / "api.conf").read_text().splitlines()
        server = next(line for line in shipped if line.startswith("server api-a:8000 "))
        lines = [server.replace("api-a:8000", f"127.0.0.1:{port}") for port in ports]
        (self.folder / "api.conf").write_text("\n".join([shipped[0], *lines, ""]))

    def reload(self) -> None:
        command = [str(self.program), "-c", str(self.folder / "nginx.conf"), "-s", "reload"]
        subprocess.run(command, check=True, capture_output=True)

    def client(self, **headers: str) -> httpx.Client:
        address = f"https://localhost:{self.port}"
        return httpx.Client(base_url=address, verify=False, trust_env=False, headers=headers)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def api() -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "tests.deploy.upstream_app:app"]  # fmt: skip
        server = Process(command, Path(folder) / "log", {"PYTHONPATH": str(ROOT)})
        wait_until(lambda: listens(port), "Granian", 90)
        yield port
        server.kill()


@pytest.fixture(scope="module")
def edge(api: int) -> Iterator[Edge]:
    # Not below pytest's folder: that is root's alone.
    with tempfile.TemporaryDirectory(prefix="ai-investment-nginx-") as folder:
        running = Edge(Path(folder), (api, free_port()))
        yield running
        running.process.stop()


def test_one_of_two_apis_away_is_seen_by_nobody(edge: Edge) -> None:
    with edge.client() as client:
        answers = [client.get("/echo").status_code for _ in range(10)]
        answers += [client.post("/api/v1/chat/messages", content=b"x").status_code for _ in range(10)]  # fmt: skip
    assert answers == [200] * 10 + [201] * 10


def test_http_leads_to_https(edge: Edge) -> None:
    answer = httpx.get(f"http://localhost:{edge.plain}/a?b=c", trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "https://localhost/a?b=c")


def test_events_pass_one_by_one_and_unpacked(edge: Edge) -> None:
    with (
        edge.client(**{"Accept-Encoding": "gzip"}) as client,
        client.stream("GET", "/api/v1/jobs/job_1/events") as response,
    ):
        chunks = response.iter_raw()
        first = [next(chunks) for _ in range(4)]
    assert "content-encoding" not in response.headers
    # Each came by itself: nothing was held back to be sent together.
    assert [chunk.count(b"event: delta") for chunk in first] in ([0, 1, 1, 1], [1, 1, 1, 1])


def test_a_stream_and_a_long_wait_outlast_the_edges_patience() -> None:
    text = (NGINX / "nginx.conf").read_text()
    stream = text[text.index("/events$") :]
    assert int(re.findall(r"proxy_read_timeout (\d+)s", stream)[0]) > 3 * HEARTBEAT
    assert int(re.findall(r"proxy_read_timeout (\d+)s", text)[0]) > 2 * 20


def test_what_a_sender_claims_about_itself_does_not_pass(edge: Edge) -> None:
    claims = {"X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1.2.3.4", "X-Forwarded-Host": "evil.test"}  # fmt: skip
    with edge.client(**claims) as client:
        answer = client.get("/echo?q=a-secret-question")
    seen = answer.json()["headers"]
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert not {"forwarded", "x-forwarded-host"} & set(seen)
    assert answer.headers["strict-transport-security"] == "max-age=63072000"
    log = edge.folder / "access.log"
    wait_until(lambda: '"path":"/echo"' in log.read_text(), "the line in the log")
    assert "a-secret-question" not in log.read_text()


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/health/detailed"])  # fmt: skip
def test_operators_places_are_closed(edge: Edge, path: str) -> None:
    with edge.client() as client:
        answer = client.get(f"https://localhost:{edge.port}{path}")
    assert answer.json()["status"] == answer.status_code == 404


def test_bodies_are_limited_and_files_may_be_as_large_as_the_api_allows(edge: Edge) -> None:
    sizes = [
        ("/api/v1/chat/messages", 300_000), ("/api/v1/chat/messages", 600_000),
        ("/api/v1/content/documents", MAX_FILE + 60_000), ("/api/v1/content/documents", MAX_FILE + 2_000_000),
    ]  # fmt: skip
    with edge.client() as client:
        answers = [client.post(path, content=b"x" * size) for path, size in sizes]
    assert [answer.status_code for answer in answers] == [201, 413, 201, 413]
    assert answers[1].json()["title"] == "Too large"


def test_old_protocols_are_refused(edge: Edge) -> None:
    def handshake(newest: ssl.TLSVersion) -> Any:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
        context.set_ciphers("ALL:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", edge.port), 5) as raw,
            context.wrap_socket(raw) as secured,
        ):
            return secured.version()

    assert handshake(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert handshake(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(ssl.TLSVersion.TLSv1_1)


def test_an_api_taken_out_of_the_list_gets_nothing_and_none_at_all_is_a_problem(
    edge: Edge, api: int
) -> None:
    try:
        edge.lead_to(free_port())
        edge.reload()
        wait_until(lambda: _status(edge) == 503, "nobody to ask")
        with edge.client() as client:
            answer = client.get("/echo")
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["title"] == "Not available"
    finally:
        edge.lead_to(api)
        edge.reload()
        wait_until(lambda: _status(edge) == 200, "the API asked again")


def _status(edge: Edge) -> int:
    with edge.client() as client:
        return client.get("/echo").status_code


# The last: the address of this test has used up what it may ask.
def test_too_many_requests_are_told_when_to_come_again(edge: Edge) -> None:
    with edge.client() as client:
        answers = [client.get("/echo") for _ in range(150)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["title"] == "Too many requests"
