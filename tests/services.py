"""Real services for tests: redis-server, PostgreSQL, Chroma, and our own processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import redis

from ai_investment.cli.embedded import redis_command
from ai_investment.processes import chroma_command, die_with_parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(probe: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait for a condition with an end, asking often; AssertionError says what did not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if probe():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


class Process:
    """A child in a session of its own, with its output in a file."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as file:
            self.popen = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.popen.pid, number)

    def kill(self) -> None:
        """SIGKILL: nothing is cleaned up, as when a machine loses power."""
        if self.popen.poll() is None:
            self.signal(signal.SIGKILL)
            self.popen.wait(10)

    def stop(self, seconds: float = 30) -> int:
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")


class RedisServer:
    """A redis-server that can lose everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = [redis_command(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--dir", str(self.folder)]  # fmt: skip
        self.process = Process(command, self.folder / "redis.log")
        wait_until(self._answers, "redis-server")

    def restart_empty(self) -> None:
        self.process.kill()
        self.start()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False


class PostgresServer:
    """A cluster of its own, without fsync: its durability is not what we test here."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._bin = _postgres_folder()
        self._folder = folder / "postgres"
        self._user = "postgres" if os.getuid() == 0 else None
        folder.chmod(0o755)
        self._folder.mkdir()
        if self._user:
            shutil.chown(self._folder, self._user)
        data = self._folder / "data"
        self._run(
            [
                self._bin / "initdb",
                "-D",
                data,
                "-A",
                "trust",
                "-U",
                "postgres",
                "--no-sync",
                "-E",
                "UTF8",
            ]
        )
        self._control(data, "start")
        self._data = data

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str) -> None:
        self._run(
            [
                self._bin / "psql",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "postgres",
                "-qc",
                statement,
            ]
        )

    def stop(self) -> None:
        self._control(self._data, "stop", "-m", "immediate")

    def start(self) -> None:
        self._control(self._data, "start")

    def _control(self, data: Path, *what: str) -> None:
        options = (
            f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
        )
        self._run(
            [
                self._bin / "pg_ctl",
                "-D",
                data,
                "-o",
                options,
                "-l",
                self._folder / "log",
                "-w",
                *what,
            ]
        )

    def _run(self, command: list[object]) -> None:
        words = list(map(str, command))
        if self._user:
            words = [
                "setpriv",
                f"--reuid={self._user}",
                f"--regid={self._user}",
                "--init-groups",
                *words,
            ]
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stderr


def _postgres_folder() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    assert on_path, "no PostgreSQL: run `just setup`"
    return Path(on_path).parent


class ChromaServer:
    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = chroma_command(folder / "chroma", port)
        self.process = Process(command, folder / "chroma.log", {"ANONYMIZED_TELEMETRY": "False"})
        wait_until(self._answers, "Chroma")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/heartbeat", trust_env=False).is_success
        except httpx.HTTPError:
            return False
