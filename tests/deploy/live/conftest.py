"""The bench: one host with an installation, and a store for its backups, for all tests.

With DEPLOY_KEEP=1 the host stays after the run and is used again by the next one.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.deploy.live.machine import CACHE, Machine, run
from tests.deploy.live.site import Site, built
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


@dataclass
class Bench:
    site: Site
    store: Store
    release: str


SETTINGS = {
    # The load comes from one address.
    "nginx_requests_per_second": 200,
    "nginx_burst": 400,
    # Short, so that requests and streams are open when the old release is stopped.
    "app_drain_seconds": 2,
    "backup_access_key": "any",
    "backup_secret_key": "any",
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
    yield Bench(site, store, built())
    store.stop()
