"""The clock, types and outbox of the database layer, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ai_investment.compiled import Compiled
from ai_investment.db import Database, db_now, outbox
from ai_investment.identity.models import UserRow
from tests.conftest import new_database
from tests.services import PostgresServer


async def test_the_databases_clock_is_utc_aware_and_can_be_moved(database: Database) -> None:
    async with database.reading() as read:
        now, later, earlier = (
            await read.execute(sa.select(db_now(), db_now(90.5), db_now(-3600)))
        ).one()
    assert now.tzinfo == UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    assert abs((later - now).total_seconds() - 90.5) < 0.1
    assert abs((now - earlier).total_seconds() - 3600) < 0.1


async def test_times_come_back_as_the_same_moment_and_compare_with_the_clock(
    database: Database,
) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5)))
    async with database.transaction() as db:
        db.add(UserRow(id="usr_1", role="user", name="a", created_at=moment))
    async with database.reading() as read:
        query = sa.select(UserRow.created_at, UserRow.created_at < db_now()).where(
            UserRow.id == "usr_1"
        )
        stored, past = (await read.execute(query)).one()
    assert stored == moment
    assert past


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    async def store() -> None:
        async with database.transaction() as db:
            db.add(UserRow(id="usr_1", role="user", name="a", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001

    with pytest.raises(sa.exc.StatementError, match="without a zone"):
        await store()


async def test_the_outbox_is_published_after_the_commit_and_dropped_by_a_rollback(
    database_url: str,
) -> None:
    published: list[Any] = []

    async def publish(messages: list[Any]) -> None:
        async with Database(database_url).reading() as read:
            count = (
                await read.execute(sa.select(sa.func.count()).select_from(UserRow))
            ).scalar_one()
        published.append((messages, count))

    database = Database(database_url, publish)

    async def write(name: str, fails: bool) -> None:
        async with database.transaction() as db:
            db.add(UserRow(id=f"usr_{name}", role="user", name=name, created_at=db_now()))
            outbox(db).append(name)
            if fails:
                raise RuntimeError

    await write("a", fails=False)
    with pytest.raises(RuntimeError):
        await write("b", fails=True)
    assert published == [(["a"], 1)]
    await database.dispose()


async def test_a_failing_publisher_does_not_undo_the_commit(database_url: str) -> None:
    async def publish(messages: list[Any]) -> None:
        raise ConnectionError

    database = Database(database_url, publish)
    async with database.transaction() as db:
        db.add(UserRow(id="usr_a", role="user", name="a", created_at=db_now()))
        outbox(db).append("a")
    async with database.reading() as read:
        assert (await read.execute(sa.select(UserRow.id))).scalar_one() == "usr_a"
    await database.dispose()


async def test_writers_wait_for_each_other_instead_of_failing(database_url: str) -> None:
    database = Database(database_url)
    async with database.transaction() as db:
        db.add(UserRow(id="usr_a", role="user", name="", created_at=db_now()))

    async def append(letter: str) -> None:
        async with database.transaction() as db:
            row = (await db.scalars(sa.select(UserRow).with_for_update())).one()
            row.name += letter

    await asyncio.gather(*(append(letter) for letter in "abcdefgh"))
    async with database.reading() as read:
        assert sorted((await read.execute(sa.select(UserRow.name))).scalar_one()) == list(
            "abcdefgh"
        )
    await database.dispose()


def renaming(database: Database) -> Compiled:
    table: Any = UserRow.__table__
    named = sa.update(table).values(name=sa.bindparam("wanted", ""))
    return Compiled(named.returning(table.c.id, table.c.created_at), database.engine.dialect)


async def test_a_statement_alone_is_committed_and_its_rows_have_our_types(
    database_url: str,
) -> None:
    database = Database(database_url)
    async with database.transaction() as db:
        db.add(UserRow(id="usr_a", role="user", name="", created_at=db_now()))
    statement = renaming(database)
    found = await asyncio.gather(*(database.alone(statement, wanted=it) for it in "abcdefgh"))
    assert all(rows[0][0] == "usr_a" and rows[0][1].tzinfo is UTC for rows in found)
    async with database.reading() as read:
        assert (await read.execute(sa.select(UserRow.name))).scalar_one() in "abcdefgh"
    await database.dispose()


_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"


@pytest.fixture
async def used(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database on PostgreSQL that keeps a connection for statements alone."""
    database = Database(new_database("postgresql", request, tmp_path))
    await database.alone(renaming(database), wanted="a")
    yield database
    await database.dispose()


async def test_a_connection_that_was_closed_meanwhile_costs_no_statement_alone(
    used: Database, migrated_postgres: PostgresServer
) -> None:
    await asyncio.to_thread(migrated_postgres.sql, _CUT)
    await asyncio.sleep(0.5)  # the end of the connection is heard of
    assert await used.alone(renaming(used), wanted="b") == []


async def test_a_lost_connection_costs_one_statement_alone_and_not_the_next(
    used: Database, migrated_postgres: PostgresServer
) -> None:
    migrated_postgres.sql(_CUT)
    with pytest.raises(sa.exc.SQLAlchemyError) as failed:
        await used.alone(renaming(used), wanted="hidden words")
    assert "hidden words" not in str(failed.value)
    assert await used.alone(renaming(used), wanted="b") == []
