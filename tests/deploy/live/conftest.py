"""The bench: one host with an installation, and a store for its backups, for all tests.

With DEPLOY_KEEP=1 the host stays after the run and is used again by the next one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.deploy.live.machine import CACHE, Machine, run
from tests.deploy.live.site import Site, built
from tests.doubles.openai_server import DONE, Reply, chunk, usage_chunk
from tests.doubles.threaded import model_server
from tests.faults.scene import DOCUMENT, QUESTION, QUOTE
from tests.services import wait_until

_STORE = "moto[s3,server]==5.2.5"
BUCKET = "backups"


# Of this machine, whichever hosts are up.
BESIDE = "10.99.0.1"


class Store:
    """An S3 server beside the hosts."""

    def __init__(self, address: str, log: Path) -> None:
        run("ip", "address", "replace", f"{address}/32", "dev", "lo")
        self.url = f"http://{address}:5000"
        command = ["uv", "run", "--quiet", "--no-project", "--with", _STORE, "moto_server", "-H", address, "-p", "5000"]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdout=log.open("wb"), stderr=subprocess.STDOUT, start_new_session=True
        )
        wait_until(self._answers, "the S3 server", 120)
        self.ask("PUT", "")

    def ask(self, method: str, path: str, content: bytes = b"", **query: str) -> bytes:
        """The body of an answer; it takes any key."""
        response = httpx.request(
            method, f"{self.url}/{BUCKET}/{path}", content=content, params=query, trust_env=False,
            headers={"Authorization": "AWS any:any"},
        )  # fmt: skip
        response.raise_for_status()
        return response.content

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url, trust_env=False).status_code < 500
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(20)


class Sink(ThreadingHTTPServer):
    """Where alerts go: the names of those that Alertmanager has sent."""

    def __init__(self, address: str, port: int) -> None:
        told = self.told = set[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                told.update(alert["labels"]["alertname"] for alert in sent["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__((address, port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@dataclass
class Bench:
    site: Site
    store: Store
    alerts: Sink
    release: str


SETTINGS = {
    # The load comes from one address.
    "nginx_requests_per_second": 200,
    "nginx_burst": 400,
    # Short, so that requests and streams are open when the old release is stopped.
    "app_drain_seconds": 2,
    "backup_access_key": "any",
    "backup_secret_key": "any",
    "monitoring_webhook": f"http://{BESIDE}:5001",
}


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    host = Machine("invest-1", 1)
    keep = bool(os.environ.get("DEPLOY_KEEP"))
    if not (keep and host.ssh("true", check=False).returncode == 0):
        host.create()
        host.start()
    yield host
    if not keep:
        host.stop()


@pytest.fixture(scope="session")
def bench(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    store = Store(BESIDE, folder / "store.log")
    repository = {"backup_repository": f"s3:{store.url}/{BUCKET}/ai-investment"}
    site = Site(CACHE / "machines" / "inventory", machine, {**SETTINGS, **repository})
    with Sink(BESIDE, 5001) as alerts:
        yield Bench(site, store, alerts, built())
        alerts.shutdown()
    store.stop()


# Statements on the scene's document, each with its quote.
_SAID = (
    ("A Wombat fund owns only wombats.", QUOTE),
    ("A Wombat fund costs 2 percent a year.", "It costs 2 percent a year."),
    ("The fund owns nothing but wombats.", QUOTE),
)


def slowly(seconds: float) -> Reply:
    """An answer in three statements, each after a third of the time: a stream is cut between them."""
    steps: list[str | float] = [chunk('{"answerable": true, "statements": [')]
    for number, (text, quote) in enumerate(_SAID):
        statement = {"text": text, "citations": [{"passage": 1, "quote": quote}]}
        steps += [seconds / 3, chunk(("," if number else "") + json.dumps(statement))]
    return Reply([*steps, chunk("]}"), chunk(finish="stop"), usage_chunk(120, 30), DONE])


@pytest.fixture(scope="module")
def written(bench: Bench) -> Iterator[Site]:
    """The installation with a model that takes its time: questions, waits and streams last."""
    site = bench.site
    # Of several lengths, so that at every moment some are half-way.
    replies = [slowly(seconds) for seconds in (6, 14, 22)] * 400
    with model_server(*replies, host=BESIDE) as model:
        (site.machine.root / "root" / "wombat.md").write_bytes(DOCUMENT)
        site.machine.ssh(
            "install -d -m 755 /run/docs && cp /root/wombat.md /run/docs/ && ai-investment ingest /run/docs/wombat.md"
        )
        site.settings |= {
            "app_settings": {"OPENAI_BASE_URL": model.server.base_url},
            "vault_openai_api_key": "sk-test-canary",
            "app_check_question": QUESTION,
        }
        yield site
        for name in ("app_settings", "vault_openai_api_key", "app_check_question"):
            site.settings.pop(name)
