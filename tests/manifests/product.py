"""What the product really has, for manifests to agree with: settings, commands, paths, metrics, slots, times."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec
from prometheus_client import REGISTRY

from ai_investment.app import litestar_app
from ai_investment.cli import cli
from ai_investment.cli.serve import KILL_SECONDS
from ai_investment.db import Database
from ai_investment.jobs.declare import QUEUES
from ai_investment.jobs.worker import DRAIN_SECONDS
from ai_investment.operations.internal import PATHS, TIMEOUT
from ai_investment.settings import CLIENT_NAMES, Settings, read_settings

WORKERS = (*QUEUES, "scheduler")
PROCESSES = ("api", *WORKERS)
INTERNAL_PATHS = PATHS
PROBE_SECONDS = TIMEOUT
GRACE_SECONDS = max(DRAIN_SECONDS, KILL_SECONDS)
POOL: int = inspect.signature(Database.__init__).parameters["pool_size"].default
CHROMA_HEARTBEAT = "/api/v2/heartbeat"
SETTINGS = {field.name.upper() for field in msgspec.structs.fields(Settings)}
# What the image's ENV sets; see test_image.py.
API_PORT, METRICS_PORT, DATA = 8000, 9090, "/data"


@cache
def public_paths() -> frozenset[str]:
    return frozenset(route.path for route in litestar_app(Settings()).routes)


def is_setting(name: str) -> bool:
    return name.removesuffix("_FILE") in SETTINGS and name not in CLIENT_NAMES


def environment_faults(environment: dict[str, str], files: dict[str, str]) -> list[str]:
    """What `read_settings` says to these variables, mounted files being replaced by valid values."""
    values = dict(environment)
    for name in list(values):
        if name.endswith("_FILE"):
            values[name.removesuffix("_FILE")] = files.get(name, "")
            del values[name]
    try:
        read_settings(values)
    except Exception as cause:
        return [str(cause)]
    return []


def command_fault(words: list[str]) -> str | None:
    """None when the command line knows this command."""
    try:
        _parse(cli, list(words))
    except click.ClickException as cause:
        return cause.format_message()
    return None


def _parse(command: click.Command, words: list[str]) -> None:
    if isinstance(command, click.Group):
        _, inner, rest = command.resolve_command(click.Context(command), words)
        assert inner is not None
        _parse(inner, rest)
        return
    command.make_context("check", words)


@cache
def slots(worker: str) -> int:
    """How many jobs a worker takes at once: KEDA's target for one replica must not be above it."""
    module: Any = import_module(f"workers.{worker}")
    built = module.QueueWorker
    taken: list[int] = []
    module.QueueWorker = lambda *_, max_jobs, **__: taken.append(max_jobs)
    try:
        nothing: Any = None
        module.build(nothing, nothing, nothing)
    finally:
        module.QueueWorker = built
    return taken[0]


@cache
def metrics() -> frozenset[str]:
    """Every series that /metrics can show, with its suffixes."""
    found: set[str] = set()
    for metric in REGISTRY.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        found |= {metric.name + suffix for suffix in suffixes.get(metric.type, ("",))}
    return frozenset(found)


@cache
def file_of(path: Path) -> str:
    return path.read_text()
