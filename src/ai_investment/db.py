"""The database: one engine, explicit transactions, the database's clock, work after the commit."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator

from ai_investment.compiled import Compiled

log = logging.getLogger(__name__)

Db = AsyncSession
"""A read-write transaction."""
Read = AsyncConnection
"""A read-only one."""
AfterCommit = Callable[[list[Any]], Awaitable[None]]

# A connection used a moment ago is taken to be alive: a ping costs three round trips.
_TRUSTED_SECONDS = 1.0
_WITHOUT_BEGIN = "ai_investment_without_begin"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite stores it as text with six decimals, so that text order is time order."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return (
            value
            if value is None
            else value.replace(tzinfo=UTC)
            if value.tzinfo is None
            else value.astimezone(UTC)
        )


# none_as_null: None is SQL NULL and not the JSON word null.
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """Tables of all features; JSON is JSONB on PostgreSQL."""

    type_annotation_map = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class db_now(sa.sql.functions.FunctionElement[datetime]):  # noqa: N801 - reads as an SQL function
    """The database's clock, plus `seconds`: the only clock leases and schedules are compared with."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, seconds: float | sa.SQLColumnExpression[Any] = 0) -> None:
        number = isinstance(seconds, int | float)
        super().__init__(sa.literal(seconds, sa.Float()) if number else seconds)


@compiles(db_now, "postgresql")
def _now_postgresql(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(db_now, "sqlite")
def _now_sqlite(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', ({seconds}) || ' seconds') || '000')"


class db_epoch(sa.sql.functions.FunctionElement[float]):  # noqa: N801
    """The database's clock in seconds since 1970."""

    type = sa.Float()
    inherit_cache = True


@compiles(db_epoch, "postgresql")
def _epoch_postgresql(element: db_epoch, compiler: SQLCompiler, **kw: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


@compiles(db_epoch, "sqlite")
def _epoch_sqlite(element: db_epoch, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


def async_url(url: str) -> sa.URL:
    """The URL with the driver we use, whichever of the usual spellings was given."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    query = dict(parsed.query)
    if "sslmode" in query:  # libpq's name, as hosts hand it out; asyncpg calls it ssl
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


class Database:
    """Transactions on one engine.

    What a transaction puts into its outbox (`outbox(db)`) is handed to `after_commit` once the commit
    stands. A failure there is logged and nothing else: the rows are the truth, and a sweeper finds them.
    """

    def __init__(
        self, url: str, after_commit: AfterCommit | None = None, *, pool_size: int = 10
    ) -> None:
        self.engine = _create_engine(async_url(url), pool_size)
        # SQLite's connections are as we prepare them: without a begin of ours they commit by themselves.
        alone: dict[str, Any] = (
            {_WITHOUT_BEGIN: True}
            if self.engine.name == "sqlite"
            else {"isolation_level": "AUTOCOMMIT"}
        )
        self._autocommit = self.engine.execution_options(**alone)
        self._kept: AsyncConnection | None = None
        self._after_commit = after_commit

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        """A read-write transaction: committed when the block ends, rolled back when it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as db:
            async with db.begin():
                yield db
            if self._after_commit and (waiting := outbox(db)):
                try:
                    await self._after_commit(waiting)
                except Exception as cause:
                    log.warning("after-commit publish failed: %s", type(cause).__name__)

    async def alone(self, statement: Compiled, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement as a transaction of its own; returns its rows.

        In one step of the driver on a connection that is kept for it: in an idle process a pool and a
        cursor cost more than the database needs. Raises SQLAlchemyError, OSError.
        """
        kept, self._kept = self._kept, None
        sqlite = self.engine.name == "sqlite"
        if kept is not None and not sqlite and (await _driver(kept)).is_closed():
            await kept.invalidate()
            await kept.close()
            kept = None
        kept = kept or await self._autocommit.connect()
        try:
            driver = await _driver(kept)
            given = statement.parameters(values)
            if sqlite:
                rows = await driver.execute_fetchall(statement.text, given)
            else:
                rows = await driver.fetch(statement.text, *given)
        except BaseException as cause:
            await kept.invalidate()
            await kept.close()
            if isinstance(cause, _driver_errors(self.engine)):
                raise sa.exc.OperationalError(
                    statement.text, None, cause, hide_parameters=True
                ) from cause
            raise
        if self._kept is None:
            self._kept = kept
        else:
            await kept.close()
        return statement.decoded(rows)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Read]:
        """For statements that read, each of which sees a moment of its own; they never wait for SQLite's
        single writer. Without a transaction: its begin and its end cost more than most reads.
        """
        async with self._autocommit.connect() as connection:
            yield connection

    async def dispose(self) -> None:
        if self._kept is not None:
            await self._kept.close()
        await self.engine.dispose()


def outbox(db: Db) -> list[Any]:
    """The list of things to publish after this transaction's commit."""
    return cast(list[Any], db.info.setdefault("outbox", []))


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


def _driver_errors(engine: AsyncEngine) -> tuple[type[Exception], ...]:
    if engine.name == "sqlite":
        return (sqlite3.Error,)
    asyncpg: Any = engine.dialect.dbapi
    return (asyncpg.asyncpg.PostgresError, asyncpg.asyncpg.InterfaceError)


def _create_engine(url: sa.URL, pool_size: int) -> AsyncEngine:
    common: dict[str, Any] = {
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
        # Errors carry their statement into logs; people's words stay out of them.
        "hide_parameters": True,
    }
    if url.get_backend_name() == "postgresql":
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            connect_args={"timeout": 5},
            **common,
        )
        _ping_when_idle(engine.sync_engine)
        return engine
    engine = create_async_engine(url, **common)
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _ping_when_idle(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "checkin")
    def remember(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["last_used"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        last_used = record.info.get("last_used")
        if last_used is None or time.monotonic() - last_used < _TRUSTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as cause:
            raise sa.exc.DisconnectionError from cause  # the pool opens another one


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # None: the driver must not begin by itself, _begin_sqlite does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "busy_timeout=5000",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred transaction that later writes fails at once when another writer holds the lock;
    # an immediate one waits for busy_timeout.
    if not connection.get_execution_options().get(_WITHOUT_BEGIN):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
