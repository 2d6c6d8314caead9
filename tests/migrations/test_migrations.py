from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import ai_investment.app
import ai_investment.jobs.schedule  # noqa: F401 - all tables must be known
from ai_investment.db import Base, Database
from ai_investment.migrations.head import head, serves
from ai_investment.migrations.upgrade import current, upgrade
from tests.services import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"empty{abs(hash(str(tmp_path)))}"
    server.sql(f"CREATE DATABASE {name}")
    return server.url(name)


async def test_an_empty_database_is_brought_to_the_head_and_a_second_time_is_left_alone(
    empty_url: str,
) -> None:
    database = Database(empty_url)
    assert await current(database) is None
    assert await upgrade(database) == (None, head())
    assert await upgrade(database) == (head(), head())
    assert await current(database) == head()
    await database.dispose()


async def test_two_upgrades_at_once_both_end_well(empty_url: str) -> None:
    first, second = Database(empty_url), Database(empty_url)
    results = await asyncio.gather(upgrade(first), upgrade(second))
    assert {after for _, after in results} == {head()}
    await first.dispose()
    await second.dispose()


async def test_the_models_are_what_the_migrations_build(empty_url: str) -> None:
    database = Database(empty_url)
    await upgrade(database)

    def difference(connection: sa.Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(difference) == []
    await database.dispose()


async def test_a_database_that_a_newer_release_migrated_serves_this_one_and_stays_as_it_is(
    empty_url: str,
) -> None:
    database = Database(empty_url)
    await upgrade(database)
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert await upgrade(database) == ("9999", "9999")
    assert await current(database) == "9999"
    assert serves("9999")
    assert not serves(f"{int(head()) - 1:04}")
    assert not serves(None)
    await database.dispose()
