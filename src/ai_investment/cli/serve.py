"""Commands that run processes: up, serve, worker."""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from pathlib import Path

import click

from ai_investment.cli.client import data_option
from ai_investment.settings import read_settings

# Granian kills what has not drained by then: above the drain, below the hosts' 60 s of grace.
KILL_SECONDS = 45
_WORKERS = ("answers", "embeddings", "pipeline", "delivery", "scheduler")


@click.command()
@data_option
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the API; without it 8000 or a free one."
)
@click.option("--check", is_flag=True, help="Ask one question, print the cited answer, stop.")
def up(folder: Path, port: int | None, check: bool) -> int:
    """Start everything on this computer: Redis, Chroma, the API, all workers, the starter library."""
    from ai_investment.cli.embedded import run

    return run(folder, port, check=check)


@click.command()
def serve() -> int:
    """Run the API on Granian."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings

    settings = read_settings(os.environ)
    Granian(
        "ai_investment.app:app",
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        workers=1,
        backlog=2048,
        backpressure=1500,
        websockets=False,
        log_enabled=False,
        workers_kill_timeout=KILL_SECONDS,
        respawn_failed_workers=True,
        http1_settings=HTTP1Settings(),
    ).serve()
    return 0


@click.command()
@click.argument("name", type=click.Choice(_WORKERS))
def worker(name: str) -> int:
    """Run one kind of worker."""
    import uvloop

    from ai_investment.adapters.redis import connect_redis
    from ai_investment.db import Database
    from ai_investment.jobs.bell import Bell
    from ai_investment.logs import configure_logging
    from ai_investment.operations import internal

    settings = read_settings(os.environ)
    configure_logging(settings.log_level, f"worker-{name}")
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    bell = Bell(connect_redis(settings.redis_url))
    database = Database(settings.database_url, bell.publish)
    with internal.listening(settings, loop, internal.process_metrics):
        import_module(f"workers.{name}").build(settings, database, bell).run()
    return 0
