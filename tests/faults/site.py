"""A ground with the API on it, and people who ask."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx

from ai_investment.identity.keys import create_key
from tests.faults.ground import Ground
from tests.faults.proxy import Proxy
from tests.installation import Installation
from tests.services import RedisServer

CHAT = "/api/v1/chat/messages"


class Person:
    """A user and their connection to the API; what they are promised, the ground remembers."""

    def __init__(self, site: Site, user_id: str, key: str) -> None:
        self.id, self.key = user_id, key
        self._site = site
        self.http = httpx.AsyncClient(
            base_url=site.api.url, headers={"X-API-Key": key}, timeout=40, trust_env=False,
            limits=httpx.Limits(max_connections=None),
        )  # fmt: skip

    async def ask(self, key: str | None = None) -> httpx.Response:
        """Ask a question; a 202 is a promise."""
        headers = {"Idempotency-Key": key} if key else {}
        response = await self.http.post(CHAT, json={"message": "What is a fund?"}, headers=headers)
        if response.status_code == 202:
            self._site.accepted.add(response.json()["job"]["id"])
        return response

    async def insist(self, key: str) -> list[httpx.Response]:
        """Ask with one idempotency key until there is a promise; returns every answer on the way."""
        answers: list[httpx.Response] = []
        async with asyncio.timeout(60):
            while not answers or answers[-1].status_code != 202:
                if answers:
                    await asyncio.sleep(0.2)
                answers.append(await self.ask(key))
        return answers

    async def asked(self) -> str:
        """Ask, be promised an answer, and return the job's id."""
        response = await self.ask()
        assert response.status_code == 202, response.text
        job_id: str = response.json()["job"]["id"]
        return job_id

    async def job(self, job_id: str, wait: int = 0) -> dict[str, Any]:
        response = await self.http.get(f"/api/v1/jobs/{job_id}", params={"wait": wait})
        assert response.status_code == 200, response.text
        job: dict[str, Any] = response.json()
        return job


class Site(Ground):
    """The API shared by the tests of a session, whole again for each; workers belong to a test."""

    def __init__(
        self, folder: Path, database_url: str, redis: RedisServer, proxy: Proxy | None = None
    ) -> None:
        super().__init__(folder, database_url, redis)
        self.proxy = proxy
        self.env |= {
            "AI_INVESTMENT_DATA_DIRECTORY": str(folder / "data"),
            "CHROMA_URL": "http://127.0.0.1:1",
        }
        self.api = Installation(folder, self.env)
        self._people: list[Person] = []

    def heal(self) -> None:
        """Start again whatever the test before has killed, and forget its promises."""
        if self.redis.process.popen.poll() is not None:
            self.redis.start()
        self.redis.process.signal(signal.SIGCONT)
        client = self.redis.client()
        client.config_set("maxmemory", 0)
        client.flushall()
        process = self.api.processes.get("api")
        if process is None or process.popen.poll() is not None:
            self.api.start("api")
        self.accepted.clear()

    def close(self) -> None:
        """End everything, when the session ends."""
        self.stop()
        self.api.stop()
        self.redis.process.kill()

    def kill_api(self) -> None:
        self.api.processes["api"].kill()

    async def person(self, role: str = "user") -> Person:
        """A new user with a key of their own."""
        async with self.database.transaction() as db:
            made = await create_key(db, self.env["SECRET_KEY"], name="tester", role=role, days=1)
        person = Person(self, made.user_id, made.key)
        self._people.append(person)
        return person

    async def jobs_of(self, people: list[Person]) -> list[str]:
        """All their jobs, whether anybody was told of them or not."""
        owners = {person.id for person in people}
        return [row.id for row in await self.jobs() if row.owner_id in owners]

    async def leave(self) -> None:
        """Close what people have open."""
        await asyncio.gather(*(person.http.aclose() for person in self._people))
        self._people.clear()
