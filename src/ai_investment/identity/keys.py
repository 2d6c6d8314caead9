"""API keys: made, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa

from ai_investment.db import Db, db_now
from ai_investment.errors import NotFound
from ai_investment.identity.models import LOCAL_USER_ID, ApiKey, UserRow
from ai_investment.ids import new_id

SCOPES = ("read", "write")


class UnknownKey(NotFound):
    title = "Unknown key"


class NewKey(msgspec.Struct, frozen=True):
    """A key just made; `key` is not stored and cannot be shown again."""

    id: str
    key: str
    user_id: str
    role: str
    expires_at: datetime | None


def key_hash(secret: str, key: str) -> str:
    """HMAC-SHA256 in hex. The key has 256 random bits, so a slow password hash would add nothing."""
    return hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()


async def create_key(
    db: Db, secret: str, *, name: str, role: str, days: int | None, scopes: tuple[str, ...] = SCOPES
) -> NewKey:
    """A key and the user it acts as. `days`: valid for so long; None: until revoked."""
    key = f"aib_{secrets.token_urlsafe(32)}"
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    user = UserRow(id=new_id("usr"), role=role, name=name, created_at=db_now())
    db.add(user)
    await db.flush()
    row = ApiKey(
        id=new_id("key"),
        user_id=user.id,
        name=name,
        prefix=key[:10],
        hash=key_hash(secret, key),
        scopes=list(scopes),
        created_at=db_now(),
        expires_at=expires_at,
    )
    db.add(row)
    await db.flush()
    return NewKey(row.id, key, user.id, role, expires_at)


async def revoke_key(db: Db, key_id: str) -> None:
    """Takes effect with the next request."""
    found = await db.execute(
        sa.update(ApiKey)
        .where(ApiKey.id == key_id)
        .values(revoked_at=sa.func.coalesce(ApiKey.revoked_at, db_now()))
        .returning(ApiKey.id)
        .execution_options(synchronize_session=False)
    )
    if found.one_or_none() is None:
        raise UnknownKey(f"There is no key {key_id[:60]!r}.")


async def ensure_local_user(db: Db) -> None:
    """The one user of the embedded mode; the person at this computer operates it, so an admin."""
    if await db.get(UserRow, LOCAL_USER_ID) is None:
        db.add(UserRow(id=LOCAL_USER_ID, role="admin", name="You", created_at=db_now()))
