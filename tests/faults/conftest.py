"""Fixtures of fault tests: grounds for the engine alone, and sites with the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from ai_investment.jobs.enqueue import cancel
from ai_investment.jobs.models import TERMINAL, Job
from tests.conftest import BACKENDS, new_database
from tests.faults import records
from tests.faults.ground import Ground
from tests.faults.proxy import Proxy, proxied
from tests.faults.seeds import COUNT
from tests.faults.site import Site
from tests.services import PostgresServer, RedisServer

# Where a test needs the machine, or an API, for itself: both databases only when it is to be thorough.
ONE_OR_BOTH = BACKENDS if COUNT > 1 else ("postgresql",)


@pytest.fixture(scope="session")
def redis_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RedisServer]]:
    """One Redis beside each database, so that two grounds can be used at once."""
    servers = {name: RedisServer(tmp_path_factory.mktemp(f"redis-{name}")) for name in BACKENDS}
    yield servers
    for server in servers.values():
        server.process.kill()


@asynccontextmanager
async def prepared(
    backend: str, request: pytest.FixtureRequest, folder: Path, redis: RedisServer
) -> AsyncIterator[Ground]:
    """A new database, an empty Redis and a scheduler; no worker yet."""
    folder.mkdir()
    redis.client().flushall()
    ground = Ground(folder, new_database(backend, request, folder), redis)
    async with ground.opened():
        await records.install(ground.database)
        await ground.scheduler()
        yield ground
        ground.stop()


@pytest.fixture
async def grounds(
    request: pytest.FixtureRequest, tmp_path: Path, redis_servers: dict[str, RedisServer]
) -> AsyncIterator[dict[str, Ground]]:
    """For tests that run on both databases side by side (`on_both_databases`)."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(prepared(name, request, tmp_path / name, redis))
            for name, redis in redis_servers.items()
        }


@pytest.fixture(params=ONE_OR_BOTH)
async def ground(
    request: pytest.FixtureRequest, tmp_path: Path, redis_servers: dict[str, RedisServer]
) -> AsyncIterator[Ground]:
    """For tests that need the machine for themselves."""
    name: str = request.param
    async with prepared(name, request, tmp_path / name, redis_servers[name]) as ground:
        yield ground


@pytest.fixture(scope="session")
def site_on(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Site]]:
    """The site on a database, made when it is first asked for."""
    sites: dict[str, Site] = {}
    with ExitStack() as stack:

        def get(backend: str) -> Site:
            if backend not in sites:
                folder = tmp_path_factory.mktemp(f"site-{backend}")
                sites[backend] = _new_site(backend, request, folder, stack)
            return sites[backend]

        yield get


def _new_site(backend: str, request: pytest.FixtureRequest, folder: Path, stack: ExitStack) -> Site:
    url, proxy = new_database(backend, request, folder), None
    if backend == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        # The one database whose commits have to outlive a crash of the server.
        name = url.rsplit("/", 1)[1]
        server.sql(f"ALTER DATABASE {name} SET synchronous_commit = on")
        proxy = stack.enter_context(proxied(server.port))
        url = through(proxy, url, server)
    site = Site(folder, url, RedisServer(folder), proxy)
    stack.callback(site.close)
    return site


def through(proxy: Proxy, url: str, server: PostgresServer) -> str:
    return url.replace(f":{server.port}/", f":{proxy.port}/")


@pytest.fixture(params=ONE_OR_BOTH)
async def site(
    request: pytest.FixtureRequest, site_on: Callable[[str], Site]
) -> AsyncIterator[Site]:
    """The site in good health, with a scheduler; no worker yet."""
    site = site_on(request.param)
    site.heal()
    async with site.opened():
        await _cleared(site)
        await site.scheduler()
        yield site
        site.stop()
        await site.leave()


async def _cleared(site: Site) -> None:
    """Records are installed once; work that a test left behind is cancelled."""
    async with site.database.engine.connect() as connection:
        installed = await connection.run_sync(
            lambda sync: sa.inspect(sync).has_table(records.MOVES.name)
        )
    if not installed:
        await records.install(site.database)
    async with site.database.transaction() as db:
        for job_id in (await db.scalars(sa.select(Job.id).where(Job.state.not_in(TERMINAL)))).all():
            await cancel(db, job_id)
