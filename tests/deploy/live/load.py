"""A constant mixed load over HTTPS: polls, questions, event streams. Everything that fails is kept."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from tests.deploy.live.site import DOMAIN

_QUESTION = "What is a Wombat fund?"
_PAUSE = 0.1


@dataclass
class Reader:
    """What one reader of a job's events has got, over all connections that it took."""

    ids: list[str] = field(default_factory=list)
    text: str = ""
    end: dict[str, Any] | None = None

    def take(self, event: dict[str, str]) -> None:
        data = json.loads(event.get("data", "{}"))
        if event["event"] == "done":
            self.end = data
            return
        if "id" in event:
            self.ids.append(event["id"])
        if event["event"] == "delta":
            self.text += data["text"]
        elif data.get("stage") == "searching":
            self.text = ""  # the work began, perhaps anew

    def fault(self, whole: Reader) -> str | None:
        """What it has missed or got twice; `whole` has read the same events at once, afterwards."""
        if self.ids != whole.ids:
            return f"{self.ids} instead of {whole.ids}"
        if sorted(set(self.ids), key=_order) != self.ids:
            return f"out of order: {self.ids}"
        said = ((self.end or {}).get("result") or {}).get("text")
        return None if self.text == said else f"{self.text!r} instead of {said!r}"


class Load:
    """Runs in a thread of its own while entered; then every question that was accepted is followed to its end."""

    def __init__(self, address: str, keys: list[str]) -> None:
        self._address, self._keys = address, keys
        self._stopping = False
        self.requests = 0
        self.failures: list[str] = []
        self.accepted: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.streams = 0
        self.cut = 0
        self.slowest = self.seconds = 0.0

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self.seconds = time.monotonic() - self._started
        self._thread.join(180)
        assert not self._thread.is_alive(), "the load did not end"

    async def _run(self) -> None:
        kinds = [self._poll, self._ask] * 2 + [self._stream] * 6
        work = [kind(self._keys[index % len(self._keys)]) for index, kind in enumerate(kinds)]
        await asyncio.gather(*work)
        async with self._client(self._keys[0]) as client:
            for job_id, key in self.accepted.items():
                client.headers["X-API-Key"] = key
                self.states[job_id] = await self._end(client, job_id)

    def _client(self, key: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"https://{self._address}", verify=False, timeout=40, trust_env=False,
            headers={"Host": DOMAIN, "X-API-Key": key},
        )  # fmt: skip

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, **more: Any
    ) -> httpx.Response | None:
        """One request. Everything but 2xx and 304 is a failure, and so is a broken connection."""
        self.requests += 1
        started = time.monotonic()
        try:
            response = await client.request(
                method, path, extensions={"sni_hostname": DOMAIN}, **more
            )
        except httpx.HTTPError as cause:
            self.failures.append(f"{method} {path}: {type(cause).__name__} {cause}")
            return None
        if "wait" not in path:
            self.slowest = max(self.slowest, time.monotonic() - started)
        if response.status_code >= 400:
            self.failures.append(f"{method} {path}: {response.status_code} {response.text[:200]}")
            return None
        return response

    async def _poll(self, key: str) -> None:
        async with self._client(key) as client:
            while not self._stopping:
                for path in ("/health", "/api/v1/jobs?limit=5", "/api/v1/chat/conversations"):
                    await self._call(client, "GET", path)
                    await asyncio.sleep(_PAUSE)

    async def _accept(self, client: httpx.AsyncClient, key: str) -> str | None:
        response = await self._call(
            client, "POST", "/api/v1/chat/messages", json={"message": _QUESTION}
        )
        if response is None:
            return None
        job_id: str = response.json()["job"]["id"]
        self.accepted[job_id] = key
        return job_id

    async def _ask(self, key: str) -> None:
        async with self._client(key) as client:
            while not self._stopping:
                if job_id := await self._accept(client, key):
                    await self._end(client, job_id)
                await asyncio.sleep(_PAUSE)

    async def _end(self, client: httpx.AsyncClient, job_id: str) -> str:
        """Long polls until the job's end."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            response = await self._call(client, "GET", f"/api/v1/jobs/{job_id}?wait=10")
            state = response.json()["state"] if response is not None else "?"
            if state in ("succeeded", "failed", "cancelled"):
                return str(state)
            if response is None:
                await asyncio.sleep(1)
        return "not ended"

    async def _stream(self, key: str) -> None:
        async with self._client(key) as client:
            while not self._stopping:
                if job_id := await self._accept(client, key):
                    await self._follow(client, job_id, key)
                await asyncio.sleep(_PAUSE)

    async def _follow(self, client: httpx.AsyncClient, job_id: str, key: str) -> None:
        """A job's events to `done`, over as many connections as it takes; then a second reader has them all."""
        self.streams += 1
        reader, whole = Reader(), Reader()
        connections = await self._to_the_end(client, job_id, reader)
        self.cut += connections > 1
        async with self._client(key) as second:
            await self._to_the_end(second, job_id, whole)
        if reader.end and whole.end and (fault := reader.fault(whole)):
            self.failures.append(f"stream {job_id}: {fault}")

    async def _to_the_end(self, client: httpx.AsyncClient, job_id: str, reader: Reader) -> int:
        """How many connections it took: one that ends before `done` is resumed where it ended."""
        deadline, connections = time.monotonic() + 120, 0
        while time.monotonic() < deadline:
            connections += 1
            self.requests += 1
            headers = {"Last-Event-ID": reader.ids[-1]} if reader.ids else {}
            try:
                async with client.stream(
                    "GET", f"/api/v1/jobs/{job_id}/events", headers=headers,
                    extensions={"sni_hostname": DOMAIN},
                ) as response:  # fmt: skip
                    if response.status_code != 200:
                        self.failures.append(f"stream {job_id}: {response.status_code}")
                        return connections
                    await _read(response, reader)
            except httpx.HTTPError as cause:
                self.failures.append(f"stream {job_id}: {type(cause).__name__} {cause}")
                return connections
            if reader.end:
                return connections
            await asyncio.sleep(0.2)
        self.failures.append(f"stream {job_id}: no end")
        return connections


async def _read(response: httpx.Response, reader: Reader) -> None:
    event: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        else:
            if "event" in event:
                reader.take(event)
            event = {}


def _order(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))


def proven(load: Load) -> None:
    """No request failed, every accepted question was answered, and there was a load at all."""
    print(f"{load.seconds:.0f} s, {load.requests} requests, {len(load.accepted)} questions, {load.streams} streams, "
          f"of them {load.cut} cut, slowest answer {load.slowest:.2f} s, {len(load.failures)} failures")  # fmt: skip
    assert load.failures == [], load.failures
    assert set(load.states.values()) == {"succeeded"}, load.states
    assert len(load.states) == len(load.accepted) > 5
    assert load.requests > 200
