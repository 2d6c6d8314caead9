"""The newest migration, known without loading Alembic: the API asks at every readiness check."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def head() -> str:
    """The revision this release needs; files are named by their revision, `0001_….py`."""
    names = (item.name for item in files("ai_investment.migrations").joinpath("versions").iterdir())
    return max(name[:4] for name in names if name[:4].isdigit())


def serves(revision: str | None) -> bool:
    """Whether a database at this migration serves this release.

    A newer one does: migrations only add, so that the release before goes on during an update and
    after a rollback.
    """
    return revision is not None and revision >= head()
