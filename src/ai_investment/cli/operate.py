"""Commands for operators, on the stores themselves: db, keys, doctor, openapi."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from ai_investment.cli.client import data_option, json_option, print_json
from ai_investment.cli.environment import CannotRun, operator_settings

T = TypeVar("T")


def _on_database(folder: Path, work: Callable[[Any, Any], Coroutine[Any, Any, T]]) -> T:
    """Run `work(settings, database)`; a database that does not answer is one readable line."""
    from sqlalchemy.exc import SQLAlchemyError

    from ai_investment.db import Database

    settings = operator_settings(folder)

    async def go() -> T:
        database = Database(settings.database_url)
        try:
            return await work(settings, database)
        finally:
            await database.dispose()

    try:
        return asyncio.run(go())
    except (SQLAlchemyError, OSError) as cause:
        raise CannotRun(
            f"the database does not do this ({type(cause).__name__}): run `ai-investment doctor`"
        ) from cause


@click.group()
def db() -> None:
    """Upgrade the database, or ask where it stands."""


@db.command("upgrade")
@data_option
def upgrade_db(folder: Path) -> int:
    """Bring the database to the newest migration."""
    from ai_investment.migrations.upgrade import upgrade

    before, after = _on_database(folder, lambda _, database: upgrade(database))
    click.echo(
        f"database at {after}" + (" already" if before == after else f" (was {before or 'empty'})")
    )
    return 0


@db.command("check")
@data_option
def check_db(folder: Path) -> int:
    """Exit 1 when the database needs `db upgrade`."""
    from ai_investment.migrations.head import head, serves
    from ai_investment.migrations.upgrade import current

    found = _on_database(folder, lambda _, database: current(database))
    click.echo(f"database at {found or 'nothing'}, this release needs {head()}")
    return 0 if serves(found) else 1


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["user", "service", "admin"]), default="user", show_default=True
)
@click.option(
    "--days", type=click.IntRange(1, 3650), help="Valid for so long; without it until revoked."
)
@click.option("--read-only", is_flag=True, help="The key may read and nothing else.")
@data_option
@json_option
def create_key(
    name: str, role: str, days: int | None, read_only: bool, folder: Path, as_json: bool
) -> int:
    """Make a key for a new user called NAME. The key is shown once."""
    from ai_investment.identity import keys as identity_keys

    async def work(settings: Any, database: Any) -> identity_keys.NewKey:
        scopes = ("read",) if read_only else identity_keys.SCOPES
        async with database.transaction() as transaction:
            return await identity_keys.create_key(
                transaction,
                settings.secret_key,
                name=name[:100],
                role=role,
                days=days,
                scopes=scopes,
            )

    made = _on_database(folder, work)
    if as_json:
        print_json(made)
        return 0
    click.echo(made.key)
    click.echo(
        f"Key {made.id} of {made.user_id} ({made.role}). Keep it now: it cannot be shown again.",
        err=True,
    )
    return 0


@keys.command("list")
@data_option
@json_option
def list_keys(folder: Path, as_json: bool) -> int:
    """All keys, without their secrets."""
    import sqlalchemy as sa
    from rich.console import Console
    from rich.table import Table

    from ai_investment.identity.models import ApiKey, UserRow

    columns = (
        ApiKey.id,
        ApiKey.name,
        ApiKey.prefix,
        UserRow.role,
        ApiKey.created_at,
        ApiKey.expires_at,
        ApiKey.revoked_at,
    )

    async def work(_: Any, database: Any) -> list[dict[str, Any]]:
        query = sa.select(*columns).join(UserRow, UserRow.id == ApiKey.user_id).order_by(ApiKey.id)
        async with database.reading() as read:
            return [dict(row) for row in (await read.execute(query)).mappings()]

    rows = _on_database(folder, work)
    if as_json:
        print_json(rows)
        return 0
    table = Table("Key", "Name", "Starts with", "Role", "Created", "Expires", "Revoked")
    for row in rows:
        times = (
            f"{row[name]:%Y-%m-%d}" if row[name] else ""
            for name in ("created_at", "expires_at", "revoked_at")
        )
        table.add_row(row["id"], row["name"], row["prefix"], row["role"], *times)
    Console().print(table)
    return 0


@keys.command("revoke")
@click.argument("key_id")
@data_option
def revoke_key(key_id: str, folder: Path) -> int:
    """Revoke a key; the next request with it is refused."""
    from ai_investment.identity import keys as identity_keys

    async def work(_: Any, database: Any) -> None:
        async with database.transaction() as transaction:
            await identity_keys.revoke_key(transaction, key_id)

    _on_database(folder, work)
    click.echo(f"{key_id} revoked")
    return 0


@click.command()
@data_option
@json_option
def doctor(folder: Path, as_json: bool) -> int:
    """Check the settings and every service, and say what to fix."""
    from ai_investment.cli.doctor import examine, print_findings

    findings = asyncio.run(examine(folder))
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    return 0 if all(finding.fine for finding in findings) else 1


@click.command()
def openapi() -> int:
    """Print the OpenAPI document."""
    from ai_investment.app import openapi_document

    print_json(openapi_document())
    return 0
