"""Commands for sources: what comes in by itself, and how that goes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import yaml

from ai_investment.cli.api import Api, my_server
from ai_investment.cli.client import data_option, json_option, print_json
from ai_investment.cli.environment import CannotRun
from ai_investment.cli.watch import watched

_PATH = "/api/v1/content/sources"


@click.group()
def sources() -> None:
    """Content that comes in by itself: feeds, sitemaps, pages, filings, folders."""


@sources.command("list")
@data_option
@json_option
def list_sources(folder: Path, as_json: bool) -> int:
    """Your sources, and the ready-made ones that are off until you add them."""
    with my_server(folder) as api:
        mine = api.call("GET", _PATH)
    names = {source["name"] for source in mine}
    off = [source for source in ready_made().values() if source["name"] not in names]
    if as_json:
        print_json({"sources": mine, "ready_made": off})
    else:
        _print_sources(mine, off)
    return 0


@sources.command("add")
@click.argument("name")
@click.option("--kind", help="rss, news, sitemap, page, sec_filings, sec_facts or folder.")
@click.option("--url", help="The feed, sitemap, page or JSON; for a folder its name.")
@click.option("--publisher", help="Who stands behind the words; shown in citations.")
@click.option("--licence", help="Under which terms the words may be kept and quoted.")
@click.option("--schedule", help="Five cron fields, UTC.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A YAML file of sources; NAME is the one in it.")  # fmt: skip
@data_option
@json_option
def add(name: str, path: Path | None, folder: Path, as_json: bool, **given: str | None) -> int:
    """Turn on the ready-made source NAME, or add one of your own."""
    values = {key: value for key, value in given.items() if value is not None}
    known = _in_file(path) if path else ready_made()
    if name not in known and not {"kind", "url", "publisher", "licence"} <= set(values):
        raise CannotRun(
            f"{name}: no ready-made source; one of your own needs --kind, --url, --publisher, --licence",
            2,
        )
    with my_server(folder) as api:
        source = api.call("POST", _PATH, json=known.get(name, {}) | {"name": name} | values)
    if as_json:
        print_json(source)
    else:
        click.echo(f"{source['name']} is {source['state']}; it runs {source['schedule']} (UTC)")
    return 0


@sources.command("sync")
@click.argument("name")
@click.option("--everything", is_flag=True, help="Back-fill: all that the source ever had.")
@data_option
@json_option
def sync(name: str, everything: bool, folder: Path, as_json: bool) -> int:
    """Look at a source now and wait; asking again goes on with what was broken off."""
    with my_server(folder) as api:
        source_id = _id_of(api, name)
        accepted = api.call("POST", f"{_PATH}/{source_id}/sync", json={"everything": everything})
        job = watched(api, accepted["job"], name, show=not as_json)
        [run, *_] = api.call("GET", f"{_PATH}/{source_id}/runs")["items"] or [None]
    if run is None:
        raise CannotRun(f"{name}: {(job['error'] or {}).get('detail', job['state'])}")
    if as_json:
        print_json(run)
    else:
        _print_runs([run])
    return 0 if job["state"] == "succeeded" and run["state"] == "succeeded" else 1


@sources.command("runs")
@click.argument("name")
@data_option
@json_option
def runs(name: str, folder: Path, as_json: bool) -> int:
    """The newest runs of a source."""
    with my_server(folder) as api:
        items = api.call("GET", f"{_PATH}/{_id_of(api, name)}/runs")["items"]
    if as_json:
        print_json(items)
    else:
        _print_runs(items)
    return 0


@sources.command("pause")
@click.argument("name")
@data_option
def pause(name: str, folder: Path) -> int:
    """Stop looking at a source; its documents stay."""
    return _set(name, "paused", folder)


@sources.command("resume")
@click.argument("name")
@data_option
def resume(name: str, folder: Path) -> int:
    """Look at a paused source again."""
    return _set(name, "active", folder)


@sources.command("remove")
@click.argument("name")
@click.confirmation_option("--yes", prompt="Withdraw all documents of this source?")
@data_option
def remove(name: str, folder: Path) -> int:
    """Remove a source and withdraw its documents."""
    with my_server(folder) as api:
        api.call("DELETE", f"{_PATH}/{_id_of(api, name)}")
    click.echo(f"{name} is removed")
    return 0


def ready_made() -> dict[str, dict[str, Any]]:
    """The sources in this package, by name."""
    folder = files("ai_investment.content.sources") / "ready"
    found = [yaml.safe_load(file.read_text("utf-8")) for file in folder.iterdir()
             if file.name.endswith(".yaml")]  # fmt: skip
    return {source["name"]: source for part in found for source in part}


def _in_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
        return {source["name"]: source for source in found}
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as cause:
        raise CannotRun(f"{path}: not a YAML list of sources with names", 2) from cause


def _id_of(api: Api, name: str) -> str:
    for source in api.call("GET", _PATH):
        if name in (source["name"], source["id"]):
            return str(source["id"])
    raise CannotRun(f"{name}: there is no such source; `ai-investment sources list` shows all", 2)


def _set(name: str, state: str, folder: Path) -> int:
    with my_server(folder) as api:
        source = api.call("PATCH", f"{_PATH}/{_id_of(api, name)}", json={"state": state})
    click.echo(f"{source['name']} is {source['state']}")
    return 0


def _print_sources(mine: list[dict[str, Any]], off: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("Name", "Kind", "State", "Next run (UTC)", "Publisher", "Licence")
    for source in mine:
        state = source["state"] + (f" ({source['failures']} failed)" if source["failures"] else "")
        due = (source["next_run_at"] or source["paused_because"] or "")[:40].replace("T", " ")
        table.add_row(
            source["name"], source["kind"], state, due, source["publisher"], source["licence"]
        )
    for source in off:
        table.add_row(
            source["name"], source["kind"], "off", "", source["publisher"], source["licence"]
        )
    Console().print(table)


def _print_runs(items: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = ("new", "changed", "unchanged", "rejected", "failed", "removed")
    table = Table("Started (UTC)", "Seconds", "State", *map(str.capitalize, names), "Why")
    for run in items:
        counts = run["counts"] or dict.fromkeys(names, "")
        why = [run["error"], *(f"{number} × {reason}" for reason, number in run["reasons"].items())]
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.1f}"
        table.add_row(
            run["started_at"][:19].replace("T", " "), seconds, run["state"],
            *(str(counts[name]) for name in names), "\n".join(filter(None, why)),
        )  # fmt: skip
    Console().print(table)
