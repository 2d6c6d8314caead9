"""Idempotency keys: the same request twice has one effect and one answer.

Scope of a key: caller, method and path. The key's row and the request's effects are one transaction, so
that of two at once the second waits for the first (PostgreSQL: on the row; SQLite: on the writer) and
then finds its answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from litestar import Request, Response
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base, Db, db_now
from ai_investment.errors import Fault, Malformed, Problem

_LONGEST = 200


R = TypeVar("R", bound=Response[Any])


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    owner_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    scope: Mapped[str] = mapped_column(sa.String(300), primary_key=True)
    """Method and path."""
    key: Mapped[str] = mapped_column(sa.String(_LONGEST), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 of the body in canonical form."""
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
    headers: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(index=True)


class KeyReused(Problem):
    """The key was used for another request."""

    status, title = 422, "Idempotency key used for another request"


class Replayed(Exception):
    """Not an error: the answer is known already. Rendered as that answer."""

    def __init__(self, response: Response[Any]) -> None:
        super().__init__("replayed")
        self.response = response


class Once:
    """What the request's answer will be, to be kept with its key."""

    def __init__(self) -> None:
        self.answer: Response[Any] | None = None

    def done(self, answer: R) -> R:
        """Keep this answer for later requests with the same key, and return it."""
        self.answer = answer
        return answer


@asynccontextmanager
async def once(
    request: Request[Any, Any, Any], db: Db, owner_id: str, *, body: bytes | None = None
) -> AsyncIterator[Once]:
    """The block has its effects once per key. `body`: what to compare instead of the raw JSON body.

    Raises Replayed with the first answer for the same key and body, KeyReused for another body,
    Malformed for a key that cannot be one. Without the header the block simply runs.
    """
    key = request.headers.get("idempotency-key")
    made = Once()
    if key is None:
        yield made
        return
    if not key.strip() or len(key) > _LONGEST or not key.isprintable():
        raise Malformed(
            f"Idempotency-Key must be 1 to {_LONGEST} printable characters.",
            errors=[Fault("header/Idempotency-Key", "not a key")],
        )
    row = {"owner_id": owner_id, "scope": f"{request.method} {request.url.path}"[:300], "key": key}
    fingerprint = hashlib.sha256(
        canonical(await request.body() if body is None else body)
    ).hexdigest()
    await _begin(db, row, fingerprint)
    yield made
    if made.answer is not None:
        await db.execute(
            sa.update(IdempotencyKey)
            .filter_by(**row)
            .values(
                status=made.answer.status_code,
                body=msgspec.to_builtins(made.answer.content, str_keys=True),
                headers={"Location": made.answer.headers.get("Location", "")},
            )
        )


async def _begin(db: Db, row: dict[str, str], fingerprint: str) -> None:
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    inserted = await db.execute(
        dialect.insert(IdempotencyKey)
        .values(**row, fingerprint=fingerprint, created_at=db_now())
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    )
    if inserted.one_or_none() is not None:
        return
    known = (await db.scalars(sa.select(IdempotencyKey).filter_by(**row))).one()
    if known.fingerprint != fingerprint:
        raise KeyReused(
            "This Idempotency-Key was used with another body: use a new key for a new request."
        )
    headers = {name: value for name, value in (known.headers or {}).items() if value}
    raise Replayed(
        Response(
            known.body,
            status_code=known.status or 200,
            headers={**headers, "Idempotency-Replayed": "true"},
        )
    )


def canonical(body: bytes) -> bytes:
    """JSON with sorted keys and no white space; other bodies as they are."""
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
