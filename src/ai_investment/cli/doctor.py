"""`doctor`: every setting and service, and what to do about each fault."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from ai_investment.cli.environment import operator_settings, read_environment
from ai_investment.settings import InvalidSettings, Settings


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at; `advice` says what to do when it is not fine."""

    what: str
    fine: bool
    detail: str
    advice: str = ""


async def examine(folder: Path) -> list[Finding]:
    """Look at everything; a fault in one place does not hide the others."""
    origin = "the environment" if "DATABASE_URL" in os.environ else f"{folder}/embedded.json"
    if not read_environment(folder) and "DATABASE_URL" not in os.environ:
        origin = "defaults"
    try:
        settings = operator_settings(folder)
    except InvalidSettings as cause:
        return [
            Finding("settings", False, fault, "correct this variable") for fault in cause.faults
        ]
    probes: list[tuple[str, Callable[[Settings], Awaitable[str]], str]] = [
        (
            "database",
            _database,
            "start it, or correct DATABASE_URL, then `ai-investment db upgrade`",
        ),
        ("redis", _redis, "start it, or correct REDIS_URL; nothing accepted is lost meanwhile"),
        ("workers", _workers, "start the missing ones: `ai-investment worker NAME`"),
        ("vector store", _chroma, "start `chroma run`, or correct CHROMA_URL"),
        ("embedding model", _model, "reinstall the package: its weights are damaged or missing"),
        ("data folder", _folder, "make AI_INVESTMENT_DATA_DIRECTORY writable"),
    ]
    findings = [Finding("settings", True, f"valid, from {origin}")]
    for what, probe, advice in probes:
        try:
            findings.append(Finding(what, True, await probe(settings)))
        except Exception as cause:
            findings.append(
                Finding(
                    what,
                    False,
                    str(cause) if isinstance(cause, Fault) else type(cause).__name__,
                    advice,
                )
            )
    answers = (
        f"written by {settings.openai_model}"
        if settings.openai_api_key
        else "quotations (no OPENAI_API_KEY)"
    )
    return [*findings, Finding("answers", True, answers)]


class Fault(Exception):
    """A finding in words; other exceptions are shown by their class, for their texts hold addresses."""


async def _database(settings: Settings) -> str:
    from ai_investment.db import Database
    from ai_investment.migrations.head import head, serves
    from ai_investment.migrations.upgrade import current

    database = Database(settings.database_url)
    try:
        found = await current(database)
    finally:
        await database.dispose()
    if not serves(found):
        raise Fault(f"at migration {found or 'nothing'}, this release needs {head()}")
    return f"{database.engine.dialect.name}, migration {found}"


async def _redis(settings: Settings) -> str:
    from ai_investment.adapters.redis import connect_redis

    redis = connect_redis(settings.redis_url)
    try:
        information = await redis.info("server")
        policy = (await redis.config_get("maxmemory-policy")).get("maxmemory-policy")
    finally:
        await redis.aclose()
    if policy not in (None, "noeviction"):
        raise Fault(f"maxmemory-policy is {policy}; queues need noeviction")
    return f"version {information['redis_version']}"


async def _workers(settings: Settings) -> str:
    from ai_investment.adapters.redis import connect_redis
    from ai_investment.jobs.declare import QUEUES
    from ai_investment.jobs.presence import workers_present

    redis = connect_redis(settings.redis_url)
    try:
        present = await workers_present(redis)
    finally:
        await redis.aclose()
    if missing := [name for name in (*QUEUES, "scheduler") if name not in present]:
        raise Fault(f"no worker for {', '.join(missing)}")
    return ", ".join(f"{name} {count}" for name, count in sorted(present.items()))


async def _chroma(settings: Settings) -> str:
    import httpx

    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        response = await client.get(f"{settings.chroma_url.rstrip('/')}/api/v2/version")
        response.raise_for_status()
    return f"Chroma {response.json()}"


async def _model(settings: Settings) -> str:
    from ai_investment.adapters.minilm import load_minilm

    model = load_minilm(settings.model_cache)
    return f"{model.name}, {model.dimension} dimensions"


async def _folder(settings: Settings) -> str:
    folder = settings.ai_investment_data_directory
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".doctor"
    probe.write_text("")
    probe.unlink()
    return str(folder.resolve())


def print_findings(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "What", "Found", "To do")
    for finding in findings:
        table.add_row("ok" if finding.fine else "!!", finding.what, finding.detail, finding.advice)
    Console().print(table)
