"""The servers under the systems: a PostgreSQL that syncs every commit, a Redis for each measurement."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.jobs.system import Place, System
from tests.services import PostgresServer, Process, RedisServer


class DurablePostgres(PostgresServer):
    """The tests' cluster with PostgreSQL's own defaults: a commit that returns is on the disk."""

    def _control(self, data: Path, *what: str) -> None:
        options = (
            f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        )
        log = self._folder / "log"
        self._run([self._bin / "pg_ctl", "-D", data, "-o", options, "-l", log, "-w", *what])


class Services:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._postgres = DurablePostgres(folder)
        # What initdb left unwritten must not be written during the first measurement.
        os.sync()

    def stop(self) -> None:
        self._postgres.stop()

    @contextmanager
    def place(self, system: System) -> Iterator[Place]:
        """A Redis and a database with nothing in them."""
        name = f"bench{next(self._numbers)}"
        folder = self._folder / name
        folder.mkdir()
        url = ""
        if system.database == "postgresql":
            self._postgres.sql(f"CREATE DATABASE {name}")
            url = self._postgres.url(name)
        elif system.database == "sqlite":
            url = f"sqlite:///{folder / 'jobs.db'}"
        redis = RedisServer(folder)
        try:
            yield Place(redis.url, url, folder / "effects")
        finally:
            redis.process.kill()


@contextmanager
def running(system: System, place: Place, process: str) -> Iterator[Process]:
    """A process of the system, killed at the end: nothing is measured after it."""
    log = place.effects.with_name(f"{process}.log")
    command = [sys.executable, "-m", system.module, process]
    started = Process(command, log, place.environment())
    try:
        yield started
    finally:
        started.kill()
