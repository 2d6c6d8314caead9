"""Real processes that start in milliseconds: forked from one that has imported everything."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.waiting import until

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "tests.faults.worker"])


class Fork:
    """A process of its own: it can be killed, frozen and told to stop like any other."""

    def __init__(
        self, log: Path, env: Mapping[str, str], target: Callable[..., None], *args: Any, **kw: Any
    ) -> None:
        self.log = log
        given = (str(log), dict(env), target, args, kw)
        self._process = _context.Process(target=_born, args=given, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL: nothing is cleaned up."""
        if self.alive:
            self.signal(signal.SIGKILL)
        self._process.join(10)

    async def stop(self) -> int | None:
        """SIGTERM, and the exit code."""
        if self.alive:
            self.signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int | None:
        """Wait for its end; the exit code."""
        await until(lambda: not self.alive, "the end of a process")
        return self._process.exitcode

    async def ready(self) -> None:
        """Wait until it says that it takes work."""
        await until(lambda: self._says("worker ready") or not self.alive, "a worker being ready")
        assert self.alive, self.text()[-3000:]

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def _says(self, words: str) -> bool:
        return words in self.text()


def _born(
    log: str, env: dict[str, str], target: Callable[..., None], args: Any, kw: dict[str, Any]
) -> None:
    """The first steps of the new process."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for the life of the process
    os.environ.update(env)
    target(*args, **kw)
