"""An installation whose processes may be killed, and a model that answers when the test lets it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from tests.doubles.openai_server import DONE, Reply, Step, chunk, usage_chunk
from tests.doubles.threaded import Model
from tests.installation import Installation
from tests.services import RedisServer

DOCUMENT = b"# Wombat fund\n\nA Wombat fund is a fund that owns nothing but wombats. It costs 2 percent a year."
QUESTION = "What is a Wombat fund?"
QUOTE = "A Wombat fund is a fund that owns nothing but wombats."
TEXT = "A Wombat fund owns only wombats."
PROCESSES = ("api", "answers", "embeddings", "pipeline", "scheduler")


def reply(text: str = TEXT, *gates: Step, quote: str = QUOTE) -> Reply:
    """What the model writes: one statement on the first passage, after the gates have opened."""
    citations = [{"passage": 1, "quote": quote}]
    written = json.dumps(
        {"answerable": True, "statements": [{"text": text, "citations": citations}]}
    )
    return Reply([*gates, chunk(written), chunk(finish="stop"), usage_chunk(120, 30), DONE])


@dataclass
class Scene:
    """The installation, its Redis, the model's side of the wire, and a user."""

    installation: Installation
    redis: RedisServer
    model: Model
    client: httpx.Client

    def heal(self) -> None:
        """Start again whatever the test before has killed."""
        if self.redis.process.popen.poll() is not None:
            self.redis.start()
        # The model's provider is trusted again.
        for key in self.redis.client().scan_iter("breaker:*"):
            self.redis.client().delete(key)
        dead = [
            name for name in PROCESSES if self.installation.processes[name].popen.poll() is not None
        ]
        self.installation.start(*dead)

    def ask(self, **headers: str) -> dict[str, Any]:
        response = self.client.post(
            "/api/v1/chat/messages", json={"message": QUESTION}, headers=headers
        )
        assert response.status_code in (200, 202), response.text
        body: dict[str, Any] = response.json()
        return body

    def job(self, job_id: str, wait: int = 0) -> dict[str, Any]:
        job: dict[str, Any] = self.client.get(
            f"/api/v1/jobs/{job_id}", params={"wait": wait}
        ).json()
        return job

    def finished(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (job := self.job(job_id, 5))["state"] not in ("succeeded", "failed", "cancelled"):
            assert time.monotonic() < deadline, job
        return job
