"""The API: routers, resources and lifespan. Granian serves `app`; tests call `create_app`."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from ai_investment.adapters.redis import connect_redis
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.answers.safety import events as safety
from ai_investment.calculators import routes as calculators
from ai_investment.chat import routes as chat
from ai_investment.content import index_routes
from ai_investment.content import routes as content
from ai_investment.content.lexical import Follower
from ai_investment.content.objects import Objects
from ai_investment.content.remote import RemoteDense
from ai_investment.content.search import Searcher
from ai_investment.content.sources import routes as sources
from ai_investment.db import Database, Db, Read
from ai_investment.http.edge import edge
from ai_investment.http.problems import exception_handlers
from ai_investment.identity.access import User, provide_credentials, provide_user
from ai_investment.identity.keys import ensure_local_user
from ai_investment.jobs import admin
from ai_investment.jobs import routes as jobs
from ai_investment.jobs.bell import CHANGES, Bell, Listener
from ai_investment.logs import configure_logging
from ai_investment.operations import docs, health, internal, metrics, page
from ai_investment.settings import Settings, read_settings
from ai_investment.version import VERSION

MAX_BODY = 256 * 1024
# At once; those beyond are answered by words alone when no connection comes free in time.
_SEARCHES = 32
# How long a search waits while the index of words is built or catches up.
_INDEX_SECONDS = 1.0


def create_app(settings: Settings) -> ASGIApp:
    """The ASGI application for these settings; connections open in its lifespan."""
    return edge(litestar_app(settings))


def litestar_app(settings: Settings) -> Litestar:
    """The application without its edge."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        redis = connect_redis(settings.redis_url)
        bell = Bell(redis)
        database = Database(settings.database_url, bell.publish)
        changes = Listener(redis, CHANGES)
        # Of its own: each search holds one while it waits for its reply.
        asking = connect_redis(settings.redis_url, connections=_SEARCHES)
        lexical = Follower(TantivyIndex(), patience=_INDEX_SECONDS)
        app.state.update(
            database=database,
            bell=bell,
            changes=changes,
            objects=Objects(settings.object_directory),
            searcher=Searcher(database, RemoteDense(asking), lexical),
            draining=False,
        )
        changes.start()
        _drain_on_sigterm(app.state)
        if settings.ai_investment_local_user:
            async with database.transaction() as db:
                await ensure_local_user(db)
        # What lives now lives for ever: keep the collector from walking it under load.
        gc.collect()
        gc.freeze()
        app.state.ready = True
        expose = partial(metrics.exposition, database)
        indexing = asyncio.create_task(lexical.catch_up(database))
        try:
            with internal.listening(settings, asyncio.get_running_loop(), expose):
                yield
        finally:
            indexing.cancel()
            await asyncio.gather(indexing, return_exceptions=True)
            await changes.stop()
            await redis.aclose()
            await asking.aclose()
            await database.dispose()

    return Litestar(
        route_handlers=[
            Router(
                "/api/v1",
                route_handlers=[
                    *jobs.routes,
                    *admin.routes,
                    *chat.routes,
                    *content.routes,
                    *index_routes.routes,
                    *calculators.routes,
                    *safety.routes,
                    *sources.routes,
                ],
            ),
            *health.routes,
            *metrics.routes,
            *docs.routes,
            *page.routes,
        ],
        dependencies={
            "settings": Provide(lambda: settings, sync_to_thread=False, use_cache=True),
            "database": Provide(_database, sync_to_thread=False),
            "bell": Provide(_bell, sync_to_thread=False),
            "changes": Provide(_changes, sync_to_thread=False),
            "objects": Provide(_objects, sync_to_thread=False),
            "searcher": Provide(_searcher, sync_to_thread=False),
            "db": Provide(_transaction),
            "read": Provide(_reading),
            "credentials": Provide(provide_credentials),
            "user": Provide(provide_user),
        },
        exception_handlers=exception_handlers,
        lifespan=[lifespan],
        state=State({"ready": False, "settings": settings}),
        request_max_body_size=MAX_BODY,
        openapi_config=OpenAPIConfig(
            title="AI Investment Backend",
            version=VERSION,
            description=docs.DESCRIPTION,
            path="/openapi-unused",
            render_plugins=[],
            components=docs.COMPONENTS,
            security=[{"ApiKey": []}],
        ),
        logging_config=None,
        debug=False,
    )


def _database(state: State) -> Database:
    return state.database  # type: ignore[no-any-return]


def _bell(state: State) -> Bell:
    return state.bell  # type: ignore[no-any-return]


def _changes(state: State) -> Listener:
    return state.changes  # type: ignore[no-any-return]


def _objects(state: State) -> Objects:
    return state.objects  # type: ignore[no-any-return]


def _searcher(state: State) -> Searcher:
    return state.searcher  # type: ignore[no-any-return]


async def _transaction(database: Database) -> AsyncIterator[Db]:
    """One request, one transaction; it commits before the response is sent."""
    async with database.transaction() as db:
        yield db


async def _reading(database: Database, user: User) -> AsyncIterator[Read]:
    """After the caller is known: a request holds one connection at a time."""
    async with database.reading() as read:
        yield read


def _drain_on_sigterm(state: Any) -> None:
    """Open event streams end at once on SIGTERM; Granian would wait for them for ever."""
    loop = asyncio.get_running_loop()
    previous = signal.getsignal(signal.SIGTERM)

    def drain() -> None:
        state.draining = True
        state.changes.wake_all()

    def handler(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(drain)
        if callable(previous):
            previous(number, frame)

    try:
        signal.signal(signal.SIGTERM, handler)
    except ValueError:
        return  # not the main thread: a test server that is stopped otherwise


def __getattr__(name: str) -> Any:
    """`app`, built from the environment when a server asks for it and not when a test imports us."""
    if name != "app":
        raise AttributeError(name)
    settings = read_settings(os.environ)
    configure_logging("DEBUG" if settings.api_debug else settings.log_level, "api")
    return create_app(settings)


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, without a server or a valid environment."""
    return litestar_app(Settings()).openapi_schema.to_schema()
