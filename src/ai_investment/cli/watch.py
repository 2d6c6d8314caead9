"""Watching a job that may take hours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ai_investment.cli.api import Api

_DONE = ("succeeded", "failed", "cancelled")


def watched(api: Api, job: dict[str, Any], name: str, *, show: bool) -> dict[str, Any]:
    """The finished job; meanwhile a bar tells how far it is. No end is set here."""
    with _bar(name, show=show) as tell:
        while job["state"] not in _DONE:
            tell(job["progress"] or {})
            job = api.call("GET", f"/api/v1/jobs/{job['id']}", params={"wait": 1})
    return job


@contextmanager
def _bar(name: str, *, show: bool) -> Iterator[Any]:
    from rich.progress import Progress

    with Progress(disable=not show, transient=True) as progress:
        task = progress.add_task(name, total=None)

        def tell(state: dict[str, Any]) -> None:
            words = f"{name}: {state.get('stage', 'waiting')}"
            progress.update(task, description=words, completed=state.get("done", 0),
                            total=state.get("total"))  # fmt: skip

        yield tell
