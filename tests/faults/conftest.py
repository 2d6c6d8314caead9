"""Fixtures of fault tests: a ground for the engine alone, and a site with the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from ai_investment.jobs.enqueue import cancel
from ai_investment.jobs.models import TERMINAL, Job
from tests.conftest import BACKENDS, new_database
from tests.faults import records
from tests.faults.ground import Ground
from tests.faults.proxy import Proxy, proxied
from tests.faults.site import Site
from tests.services import PostgresServer, RedisServer


@pytest.fixture
async def ground(
    database_url: str, tmp_path: Path, redis_server: RedisServer
) -> AsyncIterator[Ground]:
    """A new database, an empty Redis and a scheduler; no worker yet."""
    redis_server.client().flushall()
    ground = Ground(tmp_path, database_url, redis_server)
    async with ground.opened():
        await records.install(ground.database)
        ground.scheduler()
        yield ground
        ground.stop()


@pytest.fixture(scope="session", params=BACKENDS)
def whole_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(f"site-{request.param}")
    url = new_database(request.param, request, folder)
    proxy: Proxy | None = None
    with ExitStack() as stack:
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            # The one database whose commits have to outlive a crash of the server.
            name = url.rsplit("/", 1)[1]
            server.sql(f"ALTER DATABASE {name} SET synchronous_commit = on")
            proxy = stack.enter_context(proxied(server.port))
            url = url.replace(f":{server.port}/", f":{proxy.port}/")
        site = Site(folder, url, RedisServer(folder), proxy)
        yield site
        site.stop()
        site.api.stop()
        site.redis.process.kill()


@pytest.fixture
async def site(whole_site: Site) -> AsyncIterator[Site]:
    """The site in good health, with a scheduler; no worker yet."""
    whole_site.heal()
    async with whole_site.opened():
        await _prepared(whole_site)
        whole_site.scheduler()
        yield whole_site
        whole_site.stop()
        await whole_site.leave()


async def _prepared(site: Site) -> None:
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
