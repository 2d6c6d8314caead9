"""Event streams: everybody comes back at once, and somebody does not read."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path
from random import Random

import httpx
import pytest

from ai_investment.jobs.bell import events_key
from tests.faults import kinds
from tests.faults.promises import promises_kept
from tests.faults.seeds import seeded
from tests.faults.site import Person, Site
from tests.faults.waiting import until

_READERS = 40
# Streams come from Redis: one database shows as much as two.
one_database = pytest.mark.parametrize("site", ["postgresql"], indirect=True)


class Reader:
    """Follows a job through any number of connections, as a browser's EventSource does."""

    def __init__(self, person: Person, job_id: str, chance: Random) -> None:
        self._path = f"/api/v1/jobs/{job_id}/events"
        self._person = person
        self._chance = chance
        self.ids: list[str] = []
        self.retries: list[int] = []
        self.done = False

    async def follow(self) -> None:
        while not self.done:
            try:
                await self.connection(leave_after=self._chance.randint(1, 30))
            except httpx.HTTPError:
                await asyncio.sleep(0.1)  # the API is away; it comes back

    async def connection(self, leave_after: int) -> None:
        last = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        async with self._person.http.stream("GET", self._path, headers=last) as response:
            if response.status_code != 200:
                raise httpx.HTTPError(f"{response.status_code}")
            event_id, seen = "", 0
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "retry":
                    self.retries.append(int(value))
                elif name == "id":
                    event_id = value
                elif line == "event: done":
                    self.done = True
                    return
                elif name == "data" and event_id:
                    self.ids.append(event_id)
                    event_id, seen = "", seen + 1
                    if seen >= leave_after:
                        return


async def told(site: Site, job_id: str) -> list[str]:
    """The ids of the events that the job has emitted."""
    return [item.decode() for item, _ in await site.bell.redis.xrange(events_key(job_id))]


@one_database
@seeded
async def test_readers_who_all_come_back_at_once_miss_nothing_and_see_nothing_twice(
    site: Site, seed: int
) -> None:
    """Row 28: connections end at random, and all of them when the API restarts."""
    person = await site.person()
    await site.worker()
    job_id = await site.put(kinds.tells, f"stop-{seed}", 0.1, 20, owner=person.id)
    readers = [Reader(person, job_id, Random(seed * 1000 + n)) for n in range(_READERS)]
    following = [asyncio.create_task(reader.follow()) for reader in readers]
    await until(lambda: all(len(reader.ids) > 5 for reader in readers), "everybody reading")
    process = site.api.processes["api"]
    await asyncio.to_thread(process.stop)
    site.api.start("api")
    before = max(len(reader.ids) for reader in readers)
    await until(lambda: all(len(r.ids) > before for r in readers), "everybody being back")
    site.open_gate(f"stop-{seed}")
    await asyncio.gather(*following)
    events = await told(site, job_id)
    assert [reader.ids for reader in readers] == [events] * _READERS
    retries = [retry for reader in readers for retry in reader.retries]
    assert min(retries) >= 500
    assert len(set(retries)) > 10, "everybody is told to come back at the same moment"
    await promises_kept(site)


async def test_a_reader_who_comes_after_the_end_gets_every_event(site: Site) -> None:
    """Row 28: more events than one look into Redis returns."""
    person = await site.person()
    await site.worker()
    job_id = await site.put(kinds.tells, "enough", 0.0, 20, owner=person.id)

    async def many() -> bool:
        return len(await told(site, job_id)) > 700

    await until(many, "many events")
    site.open_gate("enough")
    await site.ended(job_id)
    reader = Reader(person, job_id, Random())
    await reader.connection(leave_after=10_000)
    assert reader.done
    assert reader.ids == await told(site, job_id)
    await promises_kept(site)


def deaf_reader(site: Site, key: str, job_id: str) -> socket.socket:
    """Asks for a stream and never reads; the kernel takes next to nothing on its behalf."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.connect(("127.0.0.1", site.api.port))
    request = f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: api\r\nX-API-Key: {key}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def broken_off(site: Site) -> int:
    return site.api.processes["api"].text().count("stream broken off")


def memory(site: Site) -> int:
    """Resident megabytes of the API's processes: those in its session."""
    session, total = site.api.processes["api"].popen.pid, 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getsid(int(status.parent.name)) == session:
                found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
                total += int(found[1]) if found else 0
        except (ProcessLookupError, FileNotFoundError):
            continue
    return total // 1024


@one_database
async def test_readers_who_do_not_read_are_evicted_and_cost_no_memory(site: Site) -> None:
    """Row 29. The events of each stream are megabytes, far more than the kernel takes."""
    person = await site.person()
    await site.worker()
    job_id = await site.put(kinds.tells, "quiet", 0.001, 4000, owner=person.id)
    before, most, ended = memory(site), 0, broken_off(site)
    deaf = [deaf_reader(site, person.key, job_id) for _ in range(20)]
    attentive = Reader(person, job_id, Random())
    listening = asyncio.create_task(attentive.connection(leave_after=1_000_000))

    def evicted() -> bool:
        nonlocal most
        most = max(most, memory(site))
        return broken_off(site) == ended + 20

    await until(evicted, "the eviction", 60)
    site.open_gate("quiet")
    await listening
    assert attentive.done, "a reader who reads was cut off"
    for one in deaf:
        assert b"event: done" not in rest(one)
        one.close()
    assert most - before < 100, f"{before} MB, then {most} MB"
    await promises_kept(site)


def rest(connection: socket.socket) -> bytes:
    """What had been sent before the connection was closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    connection.settimeout(20)
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)
