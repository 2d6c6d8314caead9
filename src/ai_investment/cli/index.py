"""Commands for the index of vectors: how it is, and building it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ai_investment.cli.api import my_server
from ai_investment.cli.client import data_option, json_option, print_json
from ai_investment.cli.environment import CannotRun
from ai_investment.cli.watch import watched

_PATH = "/api/v1/admin/index"


@click.group()
def index() -> None:
    """The index that finds passages by meaning; it can be built anew while it serves."""


@index.command("status")
@data_option
@json_option
def status(folder: Path, as_json: bool) -> int:
    """The collections: which one serves, and how far behind each is."""
    with my_server(folder) as api:
        found = api.call("GET", _PATH)
    if as_json:
        print_json(found)
    elif not found:
        click.echo("There is no index yet: it begins with the first document.")
    else:
        _print(found)
    return 0


@index.command("rebuild")
@click.option("--model", help="As `index status` names it; needed only while two are in use.")
@data_option
@json_option
def rebuild(model: str | None, folder: Path, as_json: bool) -> int:
    """Build the index anew and wait; the present one serves until the new one has everything."""
    with my_server(folder) as api:
        accepted = api.call("POST", f"{_PATH}/rebuild", json={"model": model})
        job = watched(api, accepted["job"], "index", show=not as_json)
    if as_json:
        print_json(job)
    elif job["state"] == "succeeded":
        built = job["result"] or {}
        click.echo(f"{built.get('collection', 'another build')} serves")
    if job["state"] != "succeeded":
        raise CannotRun((job["error"] or {}).get("detail", f"the build was {job['state']}"))
    return 0


def _print(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "Model", "Generation", "State", "Passages", "Documents behind", "Last check (UTC)"
    )
    for item in found:
        checked = (item["checked_at"] or "")[:16].replace("T", " ")
        lost = f" ({item['lost']} lost)" if item["lost"] else ""
        table.add_row(
            item["model"], str(item["generation"]), item["state"], str(item["passages"]),
            str(item["behind"]), checked + lost,
        )  # fmt: skip
    Console().print(table)
