"""Processes of fault tests: a worker with the tests' kinds, and the scheduler as the command starts it.

python -m tests.faults.worker QUEUE FOLDER    a worker with every kind of that queue, for skewed clocks
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from ai_investment.adapters.redis import connect_redis
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.answers.glossary import Glossary
from ai_investment.answers.safety.gate import Gate
from ai_investment.chat.jobs import answer_message
from ai_investment.cli.serve import worker as worker_command
from ai_investment.content.lexical import Follower
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.declare import KINDS
from ai_investment.jobs.upkeep import prune
from ai_investment.jobs.worker import QueueWorker
from ai_investment.logs import configure_logging
from tests.faults.kinds import Nothing, Tools
from workers import scheduler

SERVED = {
    "answers": [answer_message.name],
    "delivery": [prune.name, *(name for name in KINDS if name.startswith("test.faults."))],
}
# Known by being imported before the processes fork.
FORKED = (scheduler,)


@asynccontextmanager
async def _tools(folder: Path, database: Database) -> AsyncIterator[Tools]:
    nothing = Nothing()
    lexical, glossary = Follower(TantivyIndex()), Glossary(database)
    yield Tools(folder, lexical, Gate(nothing), glossary, nothing, nothing)


def run_worker(
    queue: str, folder: str, kinds: Sequence[str] = (), slots: int = 10, **options: Any
) -> None:
    """Take work until a signal says to stop. `kinds`: without them, every kind of the queue."""
    configure_logging("INFO", f"worker-{queue}")
    asyncio.set_event_loop(uvloop.new_event_loop())
    bell = Bell(connect_redis(os.environ["REDIS_URL"]))
    database = Database(os.environ["DATABASE_URL"], bell.publish)
    served = [KINDS[name] for name in kinds or SERVED[queue]]
    tools = partial(_tools, Path(folder), database)
    QueueWorker(queue, served, database, bell, tools, max_jobs=slots, **options).run()


def run_scheduler() -> None:
    """`ai-investment worker scheduler`, in a process that has its imports already."""
    assert worker_command.callback is not None
    worker_command.callback("scheduler")


if __name__ == "__main__":
    run_worker(sys.argv[1], sys.argv[2])
