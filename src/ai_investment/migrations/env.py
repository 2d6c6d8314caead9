"""Alembic's entry: runs on the connection it is given."""

from __future__ import annotations

from typing import Literal

from alembic import context

from ai_investment.db import JSON, Base, UtcDateTime

connection = context.config.attributes["connection"]


def _render(kind: str, item: object, _: object) -> str | Literal[False]:
    """Our own types are imported by the template under their names."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "UtcDateTime()"
    return "JSON" if kind == "type" and item is JSON else False


context.configure(
    render_item=_render,
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
