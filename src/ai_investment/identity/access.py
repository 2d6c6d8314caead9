"""Who is calling: credentials are read without a query, and checked in the query that needs them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from litestar import Request

from ai_investment.compiled import Compiled
from ai_investment.db import Database, db_now
from ai_investment.errors import Problem
from ai_investment.identity.keys import key_hash
from ai_investment.identity.models import LOCAL_USER_ID, ApiKey, UserRow
from ai_investment.settings import LOOPBACK, Settings


class Unauthenticated(Problem):
    """No credentials, or none that hold: the reasons are not told apart."""

    status, title = 401, "Not signed in"


class Forbidden(Problem):
    """Signed in, but not allowed to do this."""

    status, title = 403, "Not allowed"


class User(msgspec.Struct, frozen=True):
    """The caller."""

    id: str
    role: Literal["user", "service", "admin"]

    def need_admin(self) -> None:
        if self.role != "admin":
            raise Forbidden("This needs an operator's key.")


class Credentials(msgspec.Struct, frozen=True):
    """What the request carries: the hash of an API key, or the right to act as the local user."""

    key_hash: str | None
    local: bool
    scope: Literal["read", "write"]
    """What the request's method needs, if the route does not say it: a POST may change nothing."""

    def check(self, row: Any) -> None:
        """Raise unless `row`, selected by `caller_row`, lets this request in."""
        if row is None:
            raise Unauthenticated("The key is unknown, expired or revoked.")
        if row.scopes is not None and self.scope not in row.scopes:
            raise Forbidden(f"This key may not {self.scope}.")


def caller_row(credentials: Credentials) -> sa.Select[Any]:
    """A query for `user_id, role, scopes`: one row when the credentials hold, none otherwise."""
    live = sa.select(UserRow.id.label("user_id"), UserRow.role).where(UserRow.disabled_at.is_(None))
    if credentials.key_hash:
        return (
            live.add_columns(ApiKey.scopes)
            .join(ApiKey, ApiKey.user_id == UserRow.id)
            .where(
                ApiKey.hash == sa.bindparam("key_hash", credentials.key_hash, sa.String),
                ApiKey.revoked_at.is_(None),
                sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > db_now()),
            )
        )
    if credentials.local:
        return live.add_columns(sa.null().label("scopes")).where(UserRow.id == LOCAL_USER_ID)
    raise Unauthenticated("Send an API key in X-API-Key, or as a bearer token.")


async def provide_credentials(request: Request[Any, Any, Any], settings: Settings) -> Credentials:
    """Read the headers; no I/O."""
    key = request.headers.get("x-api-key") or _bearer(request.headers.get("authorization", ""))
    credentials = Credentials(
        key_hash=key_hash(settings.secret_key, key) if key else None,
        local=not key and settings.ai_investment_local_user and _from_this_computer(request),
        scope=request.route_handler.opt.get("scope")
        or ("read" if request.method in ("GET", "HEAD") else "write"),
    )
    request.state.credentials = credentials
    return credentials


def _bearer(authorization: str) -> str | None:
    scheme, _, value = authorization.partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


async def provide_user(credentials: Credentials, database: Database) -> User:
    """The caller, looked up. Raises Unauthenticated or Forbidden."""
    by_key = bool(credentials.key_hash)
    asked = _lookup(database.engine.dialect, by_key=by_key, local=credentials.local)
    rows = await database.alone(asked, key_hash=credentials.key_hash)
    caller = _Caller(*rows[0]) if rows else None
    credentials.check(caller)
    assert caller is not None
    return User(caller.user_id, caller.role)


class _Caller(NamedTuple):
    user_id: str
    role: Literal["user", "service", "admin"]
    scopes: list[str] | None


@cache
def _lookup(dialect: sa.Dialect, *, by_key: bool, local: bool) -> Compiled:
    """`caller_row`, put together once for each kind of credentials."""
    return Compiled(caller_row(Credentials("any" if by_key else None, local, "read")), dialect)


# Which headers a proxy adds is its own affair: these are the usual ones.
_PROXIES = (
    "forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
)  # fmt: skip


def _from_this_computer(request: Request[Any, Any, Any]) -> bool:
    """A loopback peer that is no proxy, and no web page of another origin (DNS rebinding, CSRF)."""
    headers = request.headers
    if request.client is None or request.client.host not in LOOPBACK:
        return False
    if any(name in headers for name in _PROXIES):
        return False
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK and (
            origin is None or urlsplit(origin).netloc == host
        )
    except ValueError:
        return False
