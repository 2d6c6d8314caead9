from __future__ import annotations

import asyncio
from decimal import Decimal

from ai_investment.answers.budget import Amount, Budget, Limits, spent_today
from ai_investment.db import Database

CALL = Amount(1000, Decimal("0.01"))


def budget(database: Database, user: int = 10**6, every: int = 10**6, usd: str = "1") -> Budget:
    return Budget(database, Limits(user, every, Decimal(usd)))


async def spent(database: Database) -> tuple[int, Decimal]:
    async with database.reading() as read:
        return await spent_today(read)


async def test_reservations_made_at_the_same_time_never_break_a_limit(database: Database) -> None:
    ours = budget(database, every=10_000)
    made = await asyncio.gather(*(ours.reserve(f"usr_{n}", CALL) for n in range(30)))
    assert sum(item is not None for item in made) == 10
    assert await spent(database) == (10_000, Decimal("0.1"))


async def test_each_person_has_a_limit_of_their_own(database: Database) -> None:
    ours = budget(database, user=2000)
    assert [await ours.reserve("usr_a", CALL) is not None for _ in range(3)] == [True, True, False]
    assert await ours.reserve("usr_b", CALL) is not None
    assert (await spent(database))[0] == 3000  # what was refused took nothing from the others


async def test_the_days_cost_is_limited_where_the_price_is_known(database: Database) -> None:
    ours = budget(database, usd="0.015")
    assert await ours.reserve(None, CALL) is not None
    assert await ours.reserve(None, CALL) is None
    assert await ours.reserve(None, Amount(1000, None)) is not None


async def test_settling_replaces_what_was_reserved_by_what_was_used(database: Database) -> None:
    ours = budget(database)
    first = await ours.reserve("usr_a", CALL)
    second = await ours.reserve("usr_a", CALL)
    assert first
    assert second
    await ours.settle(first, Amount(120, Decimal("0.002")))
    await ours.settle(second, None)  # unknown: the reservation stands
    assert await spent(database) == (1120, Decimal("0.012"))


async def test_a_limit_of_zero_allows_no_call(database: Database) -> None:
    assert await budget(database, every=0).reserve("usr_a", CALL) is None
