"""Child processes: started, watched, restarted, stopped in order; and how a Chroma server is started."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

# A child that ends this often within the window will not get better by itself.
_MAX_RESTARTS, _WINDOW = 5, 60.0


def die_with_parent() -> None:
    """Run in a new child (Linux): the kernel ends it when its parent is gone, even by SIGKILL.

    The parent is the thread that started the child: that has to be one that lives on.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Child:
    """One supervised process; its output goes to a log file of its own."""

    def __init__(
        self, name: str, command: list[str], environment: dict[str, str], log: Path
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, on_end: Callable[[str, bool], None]) -> None:
        """Start and watch; `on_end(text, given_up)` is told of every unexpected end."""
        await self._spawn()
        self._watch = asyncio.create_task(self._restart_when_it_ends(on_end))

    async def stop(self, seconds: float) -> None:
        """SIGTERM, then SIGKILL after `seconds`; returns when the process is gone."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), seconds)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if self._watch:
            self._watch.cancel()

    def tail(self, lines: int = 8) -> str:
        """The end of the log, for a message about a failure."""
        try:
            return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    async def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, **self._environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A session of its own: Ctrl-C reaches the supervisor alone, which stops all in order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    async def _restart_when_it_ends(self, on_end: Callable[[str, bool], None]) -> None:
        ends: list[float] = []
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if self._stopping:
                return
            now = time.monotonic()
            ends = [*(end for end in ends if now - end < _WINDOW), now]
            if len(ends) > _MAX_RESTARTS:
                on_end(
                    f"{self.name} ended {len(ends)} times within a minute, last with {code}", True
                )
                return
            on_end(f"{self.name} ended with {code}; starting it again", False)
            await asyncio.sleep(min(0.2 * 2 ** len(ends), 5))
            await self._spawn()


def chroma_command(folder: Path, port: int) -> list[str]:
    """What the `chroma` script does, without the client library that it imports first (3 s, 100 MB)."""
    program = "import sys, chromadb_rust_bindings as chroma; chroma.cli(sys.argv)"
    arguments = ["run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-c", program, *arguments]
