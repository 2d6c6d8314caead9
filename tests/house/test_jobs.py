from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from ai_investment.jobs.declare import KINDS, QUEUES
from tests.installation import WORKERS


def test_every_declared_job_belongs_to_exactly_one_worker() -> None:
    served: dict[str, list[str]] = {}
    for queue in QUEUES:
        module: Any = import_module(f"workers.{queue}")
        recorded: list[Any] = []
        module.QueueWorker = lambda name, kinds, *_, recorded=recorded, **__: recorded.append(
            (name, kinds)
        )
        settings: Any = None
        module.build(settings, settings, settings)
        [(name, kinds)] = recorded
        assert name == queue
        for kind in kinds:
            assert kind.queue == queue
            served.setdefault(kind.name, []).append(queue)
    # Other tests of the same run declare jobs of their own.
    ours = [name for name in KINDS if not name.startswith("test.")]
    assert {kind: len(queues) for kind, queues in served.items()} == dict.fromkeys(ours, 1)


@pytest.mark.parametrize("name", WORKERS)
def test_every_worker_the_command_line_offers_can_be_built(name: str) -> None:
    assert callable(import_module(f"workers.{name}").build)
