"""A whole installation for tests: the API on Granian over TCP, and worker processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from ai_investment.cli.api import connected
from ai_investment.cli.client import load_library
from ai_investment.db import Database
from ai_investment.identity.keys import create_key
from tests.services import Process, free_port, wait_until

PROGRAM = [sys.executable, "-m", "ai_investment"]
WORKERS = ("answers", "embeddings", "pipeline", "delivery", "scheduler")


class Installation:
    """Processes that share one environment; each can be started, killed and started again."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {"API_PORT": str(self.port), "LOG_LEVEL": "INFO", **env}
        self.processes: dict[str, Process] = {}

    def start(self, *names: str) -> None:
        """`api` or workers; returns when each is ready to work."""
        for name in names:
            arguments = ["serve"] if name == "api" else ["worker", name]
            self.processes[name] = Process(
                [*PROGRAM, *arguments], self.folder / f"{name}.log", self.env
            )
        for name in names:
            wait_until(partial(self._ready, name), f"{name} being ready", 60)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()

    def _ready(self, name: str) -> bool:
        process = self.processes[name]
        assert process.popen.poll() is None, process.text()[-3000:]
        if name != "api":
            return "worker ready" in process.text()
        try:
            return httpx.get(f"{self.url}/health/ready", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"X-API-Key": key} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=40, trust_env=False)

    def cli(
        self, *arguments: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            env=clean_environment({**self.env, **(env or {})}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done

    def key(self, role: str = "user") -> str:
        """A new API key of a new user."""

        async def create() -> str:
            database = Database(self.env["DATABASE_URL"])
            async with database.transaction() as db:
                made = await create_key(
                    db, self.env["SECRET_KEY"], name="tester", role=role, days=1
                )
            await database.dispose()
            return made.key

        return asyncio.run(create())

    def load_library(self) -> None:
        """The starter library, as `up` loads it."""
        with connected(self.url, self.key("admin")) as api:
            outcomes = load_library(api, show=False)
        assert {item["outcome"] for item in outcomes} == {"added"}, outcomes


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """This process's environment without settings of ours, then `extra`."""
    ours = ("AI_INVESTMENT_", "API_", "OPENAI_", "DATABASE_", "REDIS_", "CHROMA_", "FETCH_")
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
        **extra,
    }


def finished(client: httpx.Client, job: dict[str, Any], polls: int = 6) -> dict[str, Any]:
    """Long-poll a job to its end."""
    for _ in range(polls):
        if job["state"] in ("succeeded", "failed", "cancelled"):
            return job
        job = client.get(f"/api/v1/jobs/{job['id']}", params={"wait": 20}).json()
    raise AssertionError(f"job did not end: {job}")


def asked(client: httpx.Client, message: str, **extra: Any) -> dict[str, Any]:
    """Ask and return the finished job."""
    response = client.post("/api/v1/chat/messages", json={"message": message, **extra})
    assert response.status_code == 202, response.text
    return finished(client, response.json()["job"])


def ingested(
    client: httpx.Client, name: str, data: bytes, media_type: str, **fields: str
) -> dict[str, Any]:
    """Send a file and wait until it is searchable (or has failed); returns the last job."""
    response = client.post(
        "/api/v1/content/documents", files={"file": (name, data, media_type)}, data=fields
    )
    assert response.status_code == 202, response.text
    job = finished(client, response.json()["job"])
    if job["state"] == "succeeded" and (follow_up := job["result"]["follow_up"]):
        job = finished(client, client.get(f"/api/v1/jobs/{follow_up}").json())
    return job
