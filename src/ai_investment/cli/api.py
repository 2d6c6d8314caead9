"""Talking to a running server over its public HTTP API."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from ai_investment.cli.environment import CannotRun, server_url

_WAIT = 20


class Api:
    """A client; every failure becomes CannotRun with the server's own words."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            response = self._client.request(method, path, **kwargs)
        except httpx.HTTPError as cause:
            raise CannotRun(
                f"no answer from {self._client.base_url} ({type(cause).__name__}): is `ai-investment up` running?"
            ) from cause
        if response.is_error:
            raise CannotRun(_problem(response))
        return response.json() if response.content else None

    def finished(self, job: dict[str, Any], *, seconds: float = 300) -> dict[str, Any]:
        """Long-poll until the job ends; raises CannotRun at the deadline."""
        deadline = time.monotonic() + seconds
        while job["state"] not in ("succeeded", "failed", "cancelled"):
            if time.monotonic() > deadline:
                raise CannotRun(f"job {job['id']} is still {job['state']} after {seconds:.0f} s")
            job = self.call("GET", f"/api/v1/jobs/{job['id']}", params={"wait": _WAIT})
        return job


@contextmanager
def connected(url: str, key: str | None = None) -> Iterator[Api]:
    """An API client for the server at `url`."""
    headers = {"X-API-Key": key} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=_WAIT + 10, trust_env=False) as client:
        yield Api(client)


def my_server(folder: Path) -> AbstractContextManager[Api]:
    """The server at AI_INVESTMENT_URL, else the embedded one of `folder`."""
    return connected(server_url(folder), os.environ.get("AI_INVESTMENT_API_KEY"))


def _problem(response: httpx.Response) -> str:
    try:
        problem = response.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code}"
