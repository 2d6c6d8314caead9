"""The whole installation with its real workers: whatever dies, an accepted question ends in one answer.

On one database: the other modules here try every row on both, with jobs that are quicker to lose.
"""

from __future__ import annotations

import signal
import threading

import pytest

from tests.faults.scene import TEXT, Scene, reply
from tests.faults.seeds import thorough
from tests.services import wait_until

pytestmark = pytest.mark.parametrize("written_scene", ["postgresql"], indirect=True)


@thorough
def test_a_worker_killed_in_the_middle_of_a_job_ends_in_one_result(scene: Scene) -> None:
    scene.model.answer_with(reply(TEXT, scene.model.gate()))
    job_id = scene.ask()["job"]["id"]
    scene.model.called(1)
    assert scene.job(job_id)["state"] == "running"
    scene.installation.processes["answers"].kill()
    scene.installation.start("answers")
    scene.model.called(2)  # the lease has run out and the sweeper has rung again
    scene.model.open_gate()
    job = scene.finished(job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    assert job["result"]["text"] == f"{TEXT.removesuffix('.')} [1].\n\n"


def test_redis_restarted_empty_loses_no_accepted_question(scene: Scene) -> None:
    """The worker is frozen, so that the questions wait in Redis when it loses everything."""
    scene.installation.processes["answers"].signal(signal.SIGSTOP)
    waiting = [scene.ask()["job"]["id"] for _ in range(5)]
    scene.redis.restart_empty()
    scene.installation.processes["answers"].signal(signal.SIGCONT)
    jobs = [scene.finished(job_id) for job_id in waiting]
    assert [(job["state"], job["attempt"]) for job in jobs] == [("succeeded", 1)] * 5


def test_questions_are_accepted_while_redis_is_down_and_answered_when_it_is_back(
    scene: Scene,
) -> None:
    scene.redis.process.kill()
    job_id = scene.ask()["job"]["id"]
    scene.redis.start()
    assert scene.finished(job_id)["state"] == "succeeded"


def test_a_worker_told_to_stop_finishes_what_it_holds(scene: Scene) -> None:
    scene.model.answer_with(reply(TEXT, scene.model.gate()))
    job_id = scene.ask()["job"]["id"]
    scene.model.called(1)
    worker = scene.installation.processes["answers"]
    worker.popen.terminate()
    second = scene.ask()["job"]["id"]
    scene.model.open_gate()
    assert scene.finished(job_id)["attempt"] == 1
    assert worker.popen.wait(30) == 0
    assert scene.job(second)["state"] == "queued"  # a stopping worker takes nothing new
    scene.heal()
    assert scene.finished(second)["attempt"] == 1


def test_the_api_stops_at_once_although_a_reader_streams(scene: Scene) -> None:
    scene.model.answer_with(reply(TEXT, scene.model.gate()))
    job_id = scene.ask()["job"]["id"]
    scene.model.called(1)
    lines: list[str] = []

    def read() -> None:
        with scene.client.stream("GET", f"/api/v1/jobs/{job_id}/events") as response:
            for line in response.iter_lines():
                lines.append(line)  # noqa: PERF402 - seen while the stream goes on

    reading = threading.Thread(target=read)
    reading.start()
    wait_until(lambda: "event: progress" in lines, "the stream")
    api = scene.installation.processes["api"]
    assert api.stop(10) == 0
    reading.join(10)
    assert "event: shutdown" in lines
    scene.model.open_gate()
