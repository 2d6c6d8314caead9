"""Cursor pagination, newest first: `{items, next_cursor}`. The cursor is the last id of the page."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from ai_investment.errors import Fault, Malformed

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    items: list[T]
    next_cursor: str | None


def after(query: Any, column: Any, cursor: str | None) -> Any:
    """The query ordered by a time-ordered id, newest first, continued after `cursor`."""
    if cursor is not None:
        if not re.fullmatch(r"[a-z]{2,8}_[0-9a-z]{1,40}", cursor):
            raise Malformed(
                "The cursor is not one that this server gave.",
                errors=[Fault("query/cursor", "not a cursor")],
            )
        query = query.where(column < cursor)
    return query.order_by(column.desc())


def page(items: list[Any], limit: int) -> Page[Any]:
    """A page of `limit` items from a query that asked for one more."""
    more = len(items) > limit
    items = items[:limit]
    return Page(items, items[-1].id if more else None)
