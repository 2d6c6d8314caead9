"""Commands that use a running server: ask, ingest, jobs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import msgspec

from ai_investment.cli.api import Api, my_server
from ai_investment.cli.environment import DEFAULT_FOLDER, CannotRun

data_option = click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Folder of the embedded mode.",
)
LIBRARY_SOURCE = "Starter library"
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_SUFFIXES = {".md": "text/markdown", ".markdown": "text/markdown", ".html": "text/html", ".htm": "text/html",
             ".pdf": "application/pdf", ".txt": "text/plain"}  # fmt: skip


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


@click.command()
@click.argument("question")
@data_option
@json_option
def ask(question: str, folder: Path, as_json: bool) -> int:
    """Ask one question and print the cited answer."""
    with my_server(folder) as api:
        answer = ask_over_http(api, question)
    if as_json:
        print_json(answer)
    else:
        print_answer(answer)
    return 0


def ask_over_http(api: Api, question: str) -> dict[str, Any]:
    """The finished answer to a question; raises CannotRun when its job failed."""
    accepted = api.call(
        "POST", "/api/v1/chat/messages", json={"message": question}, headers={"Prefer": "wait=20"}
    )
    job = api.finished(accepted["job"])
    if job["state"] != "succeeded":
        detail = (job.get("error") or {}).get("detail", "")
        raise CannotRun(f"the question was not answered: job {job['id']} {job['state']}. {detail}")
    result: dict[str, Any] = job["result"]
    return result


def print_answer(answer: dict[str, Any]) -> None:
    """The answer as Markdown, then its sources with the place to open them."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Markdown(answer["text"].replace("[", r"\[")))
    if answer["citations"]:
        console.print(Text("\nSources", style="bold"))
    for citation in answer["citations"]:
        console.print(Text(f"[{citation['n']}] {citation['title']} ({citation['source']})"))
        console.print(Text(f"    /api/v1/content/passages/{citation['passage_id']}", style="dim"))
    console.print(Text(f"\n{answer['disclaimer']}", style="italic"))


@click.command()
@click.argument("path", required=False)
@click.option("--starter-library", is_flag=True, help="The articles that come with this package.")
@click.option(
    "--source", default="Uploaded", show_default=True, help="Who publishes it; shown in citations."
)
@data_option
@json_option
def ingest(
    path: str | None, starter_library: bool, source: str, folder: Path, as_json: bool
) -> int:
    """Add a file, all readable files of a folder, or the page at a URL: Markdown, HTML, PDF, plain text."""
    if (path is None) != starter_library:
        raise click.UsageError("Give a PATH or --starter-library.")
    is_url = path is not None and path.startswith(("http://", "https://"))
    found = [] if path is None or is_url else list(_readable(Path(path)))
    if path and not found and not is_url:
        raise CannotRun(f"{path}: no {', '.join(sorted(_SUFFIXES))} file here", 2)
    with my_server(folder) as api:
        if path is None:
            outcomes = load_library(api, show=not as_json)
        elif is_url:
            outcomes = [_ingest_url(api, path, source)]
        else:
            outcomes = ingest_files(api, found, source, show=not as_json)
    failed = [item for item in outcomes if item["outcome"] == "failed"]
    if as_json:
        print_json(outcomes)
    else:
        _print_outcomes(outcomes)
    return 1 if failed else 0


def ingest_files(
    api: Api, paths: list[tuple[Path, str]], source: str, *, show: bool
) -> list[dict[str, Any]]:
    """Send files as (path, key), wait until each is searchable, and tell what became of it.

    Sending the same bytes under the same key again is "unchanged".
    """
    from rich.progress import Progress

    outcomes = []
    with Progress(disable=not show, transient=True) as progress:
        sending = progress.add_task("Sending", total=len(paths))
        indexing = progress.add_task("Indexing", total=len(paths))
        sent = []
        for path, key in paths:
            sent.append((key, _send(api, path, key, source)))
            progress.advance(sending)
        for key, received in sent:
            outcomes.append({"file": key, **_outcome(api, received)})
            progress.advance(indexing)
    return outcomes


def _ingest_url(api: Api, url: str, source: str) -> dict[str, Any]:
    body = {"url": url, "source": source}
    received = api.call("POST", "/api/v1/content/documents", json=body)
    return {"file": url, **_outcome(api, received)}


def _send(api: Api, path: Path, key: str, source: str) -> dict[str, Any]:
    media_type = _SUFFIXES.get(path.suffix.lower(), "application/octet-stream")
    try:
        data = path.read_bytes()
    except OSError as cause:
        return {"error": f"cannot read: {cause.strerror}"}
    try:
        received: dict[str, Any] = api.call(
            "POST",
            "/api/v1/content/documents",
            files={"file": (path.name, data, media_type)},
            data={"key": key, "source": source},
        )
    except CannotRun as cause:
        return {"error": str(cause)}
    return received


def _outcome(api: Api, received: dict[str, Any]) -> dict[str, Any]:
    if "error" in received:
        return {"outcome": "failed", "detail": received["error"]}
    if received["job"] is None:
        return {"outcome": "unchanged", "document_id": received["document_id"]}
    job = api.finished(received["job"])
    while job["state"] == "succeeded" and job["result"].get("follow_up"):
        job = api.finished(api.call("GET", f"/api/v1/jobs/{job['result']['follow_up']}"))
    if job["state"] != "succeeded":
        return {"outcome": "failed", "detail": (job.get("error") or {}).get("detail", job["state"])}
    passages = job["result"]["passages"]
    if passages is None:
        return {"outcome": "unchanged", "document_id": received["document_id"]}
    return {"outcome": "added", "document_id": received["document_id"], "passages": passages}


def load_library(api: Api, *, show: bool) -> list[dict[str, Any]]:
    """The starter library, through the public API; unchanged articles cost nothing."""
    library = Path(str(files("ai_investment.content"))) / "library"
    articles = [(path, f"library:{path.stem}") for path in sorted(library.glob("*.md"))]
    return ingest_files(api, articles, LIBRARY_SOURCE, show=show)


def _readable(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, f"file:{path.resolve()}"
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.suffix.lower() in _SUFFIXES:
            yield file, f"file:{file.resolve()}"


def _print_outcomes(outcomes: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("File", "Outcome", "Passages", "Detail")
    for item in outcomes:
        name = item["file"].removeprefix("file:")
        table.add_row(name, item["outcome"], str(item.get("passages", "")), item.get("detail", ""))
    Console().print(table)


@click.group()
def jobs() -> None:
    """Look at one's own jobs and cancel them."""


@jobs.command("list")
@click.option("--state", help="queued, running, succeeded, failed or cancelled.")
@click.option("--kind", help="For example chat.answer_message.")
@click.option("--all", "everybody", is_flag=True, help="Everybody's; needs an operator's key.")
@click.option("--dead", is_flag=True, help="The dead letter only; needs an operator's key.")
@data_option
@json_option
def list_jobs(
    state: str | None, kind: str | None, everybody: bool, dead: bool, folder: Path, as_json: bool
) -> int:
    """The newest jobs."""
    wanted = {"state": state, "kind": kind, "limit": "50", "dead": "true" if dead else None}
    parameters = {key: value for key, value in wanted.items() if value}
    path = "/api/v1/admin/jobs" if everybody or dead else "/api/v1/jobs"
    with my_server(folder) as api:
        items = api.call("GET", path, params=parameters)["items"]
    if as_json:
        print_json(items)
    else:
        _print_jobs(items)
    return 0


def _print_jobs(items: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("Job", "Kind", "State", "Attempt", "Created", "Error")
    for item in items:
        attempts = f"{item['attempt']}/{item['max_attempts']}"
        error = (item["error"] or {}).get("detail", "")
        table.add_row(
            item["id"], item["kind"], item["state"], attempts, item["created_at"][:19], error
        )
    Console().print(table)


@jobs.command("retry")
@click.argument("job_id")
@data_option
def retry_job(job_id: str, folder: Path) -> int:
    """Let a failed or cancelled job wait again, with all its attempts; needs an operator's key."""
    with my_server(folder) as api:
        job = api.call("POST", f"/api/v1/admin/jobs/{job_id}/retry")
    click.echo(f"{job['id']} {job['state']}")
    return 0


@jobs.command("show")
@click.argument("job_id")
@data_option
def show_job(job_id: str, folder: Path) -> int:
    """One job as JSON."""
    with my_server(folder) as api:
        print_json(api.call("GET", f"/api/v1/jobs/{job_id}"))
    return 0


@jobs.command("cancel")
@click.argument("job_id")
@data_option
def cancel_job(job_id: str, folder: Path) -> int:
    """Ask a job to stop."""
    with my_server(folder) as api:
        job = api.call("POST", f"/api/v1/jobs/{job_id}/cancel")
    click.echo(f"{job['id']} {job['state']}")
    return 0
