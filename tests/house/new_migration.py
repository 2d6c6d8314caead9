"""Writes a migration from the difference between the models and the newest migration."""

from __future__ import annotations

import asyncio
import sys
import tempfile

import sqlalchemy as sa
from alembic import command

import ai_investment.app
import ai_investment.jobs.schedule  # noqa: F401 - all tables must be known
from ai_investment.db import Database
from ai_investment.migrations.head import head
from ai_investment.migrations.upgrade import config, upgrade


async def main(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/migrated.db")
        await upgrade(database)

        def write(connection: sa.Connection) -> None:
            configuration = config()
            configuration.attributes["connection"] = connection
            number = f"{int(head()) + 1:04}"
            command.revision(configuration, message, autogenerate=True, rev_id=number)

        async with database.engine.connect() as connection:
            await connection.run_sync(write)
        await database.dispose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
