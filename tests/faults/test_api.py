"""The API dies: what it has promised stays promised, and asking again asks for nothing new."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from random import Random

import httpx

from tests.faults.promises import promises_kept
from tests.faults.seeds import seeded
from tests.faults.site import Person, Site
from tests.faults.waiting import until


async def test_an_api_killed_between_commit_and_publish_has_promised_nothing_in_vain(
    site: Site,
) -> None:
    """Row 9: the row is committed, its bell never rings, and yet it is found."""
    person = await site.person()
    site.redis.process.signal(signal.SIGSTOP)
    asking = asyncio.create_task(person.ask())

    async def committed() -> list[str]:
        return await site.in_state("queued")

    await until(committed, "the commit")
    site.kill_api()
    await asyncio.gather(asking, return_exceptions=True)
    # What waits in the sockets of a frozen Redis would still be read: it dies with it.
    site.redis.restart_empty()
    site.accepted |= set(await committed())
    await site.worker("answers")
    await promises_kept(site)
    assert len(site.accepted) == 1


@seeded
async def test_an_api_killed_at_any_moment_accepts_each_question_once(
    site: Site, seed: int
) -> None:
    """Row 9: killed before the commit, after it, or while it answers; people ask again."""
    chance = Random(seed)
    people = [await site.person() for _ in range(4)]
    await site.worker("answers")

    async def keep_asking(person: Person) -> None:
        for number in range(8):
            await _insist_without_api(person, f"question-{number}")

    asking = [asyncio.create_task(keep_asking(person)) for person in people]
    moment = chance.randint(1, 20)
    await until(lambda: len(site.accepted) >= moment, f"{moment} promises")
    await asyncio.sleep(chance.uniform(0, 0.02))  # anywhere in the next requests
    site.kill_api()
    site.api.start("api")
    await asyncio.gather(*asking)
    await promises_kept(site)
    assert len(await site.jobs_of(people)) == len(site.accepted) == 4 * 8


async def _insist_without_api(person: Person, key: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                await person.insist(key)
                return
            await asyncio.sleep(0.1)
