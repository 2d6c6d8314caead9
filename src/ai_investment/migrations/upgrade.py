"""Bringing a database to the newest migration."""

from __future__ import annotations

from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext

from ai_investment.db import Database
from ai_investment.migrations.head import head, serves

# Any number: the same for everyone who migrates this application's database.
_LOCK = 7_231_964


def config() -> Config:
    """Alembic's configuration; it needs no file of its own."""
    configuration = Config()
    configuration.set_main_option("script_location", str(files("ai_investment.migrations")))
    return configuration


async def upgrade(database: Database) -> tuple[str | None, str]:
    """All in one transaction; a second process waits for the first. Returns (before, after).

    A database that a newer release has migrated stays as it is.
    """
    async with database.engine.begin() as connection:
        moved: tuple[str | None, str] = await connection.run_sync(_upgrade)
    return moved


async def current(database: Database) -> str | None:
    """The database's migration; None when it was never migrated."""
    async with database.reading() as read:
        found: str | None = await read.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )
    return found


def _upgrade(connection: sa.Connection) -> tuple[str | None, str]:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    before = MigrationContext.configure(connection).get_current_revision()
    if before is not None and serves(before):
        return before, before
    configuration = config()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
    return before, head()
