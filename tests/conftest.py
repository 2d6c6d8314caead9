"""Fixtures: real services, a schema built by the real migrations, both databases."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest

from ai_investment.adapters.redis import connect_redis
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.migrations.upgrade import upgrade
from tests.doubles.site import Site
from tests.doubles.threaded import model_server
from tests.faults.scene import DOCUMENT, PROCESSES, Scene, reply
from tests.installation import WORKERS, Installation, ingested
from tests.services import ChromaServer, PostgresServer, RedisServer, wait_until

BACKENDS = ("sqlite", "postgresql")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First those that start processes: they take the longest, and nobody should wait for them alone."""
    first = {"installation", "up", "scene", "site", "ground", "grounds"}
    items.sort(key=lambda item: first.isdisjoint(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    # Not below pytest's folder: that is root's alone, and the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="ai-investment-postgres-") as folder:
        server = PostgresServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.process.kill()


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path_factory.mktemp("chroma"))
    yield server
    server.process.kill()


@pytest.fixture(scope="session")
def models(pytestconfig: pytest.Config) -> Path:
    """The embedding model's cache, kept between runs: building it takes seconds."""
    assert pytestconfig.cache is not None
    return Path(pytestconfig.cache.mkdir("models"))


def _migrate(url: str) -> None:
    async def go() -> None:
        database = Database(url)
        await upgrade(database)
        await database.dispose()

    # In a thread of its own: an asynchronous fixture may be what asks for this.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(go())).result()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> PostgresServer:
    postgres.sql("CREATE DATABASE template_ours")
    _migrate(postgres.url("template_ours"))
    return postgres


_numbers = itertools.count()


def new_database(backend: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a fresh database with the real schema."""
    if backend == "sqlite":
        path = folder / f"test{next(_numbers)}.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("migrated_postgres")
    name = f"test{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name} TEMPLATE template_ours")
    return server.url(name)


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request.param, request, tmp_path)


@pytest.fixture
async def bell(redis_server: RedisServer) -> AsyncIterator[Bell]:
    redis = connect_redis(redis_server.url)
    await redis.flushall()
    yield Bell(redis)
    await redis.aclose()


@pytest.fixture
async def database(database_url: str, bell: Bell) -> AsyncIterator[Database]:
    database = Database(database_url, bell.publish)
    yield database
    await database.dispose()


def environment(
    backend: str,
    request: pytest.FixtureRequest,
    folder: Path,
    redis: RedisServer,
    chroma: ChromaServer,
) -> dict[str, str]:
    """Settings of an installation on real services."""
    models: Path = request.getfixturevalue("models")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "models").symlink_to(models)
    return {
        "DATABASE_URL": new_database(backend, request, folder),
        "REDIS_URL": redis.url,
        "CHROMA_URL": chroma.url,
        "AI_INVESTMENT_DATA_DIRECTORY": str(folder / "data"),
        "SECRET_KEY": "a-secret-for-tests-that-is-long-enough",
        "JWT_SECRET_KEY": "another-secret-for-tests-long-enough",
    }


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The one web site that installations may fetch from: use paths of your own."""
    with Site({}) as site:
        yield site


@contextmanager
def installed(
    backend: str, request: pytest.FixtureRequest, folder: Path, *processes: str, **settings: str
) -> Iterator[tuple[Installation, RedisServer, ChromaServer]]:
    """An installation on stores of its own, with these processes running."""
    with ExitStack() as stack:
        redis, chroma = RedisServer(folder), ChromaServer(folder)
        stack.callback(redis.process.kill)
        stack.callback(chroma.process.kill)
        env = environment(backend, request, folder, redis, chroma)
        installation = Installation(folder, env | settings)
        stack.callback(installation.stop)
        installation.start(*processes)
        yield installation, redis, chroma


@pytest.fixture(scope="session")
def installations(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, site: Site
) -> Iterator[Callable[[str], Installation]]:
    """A whole installation on each database, with the library, made when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def get(backend: str) -> Installation:
            folder = tmp_path_factory.mktemp(f"installation-{backend}")
            settings = {
                "FETCH_ALLOWED_PRIVATE_HOSTS": site.host,
                "FETCH_CONTACT": "ops@example.org",
            }
            running = installed(backend, request, folder, "api", *WORKERS, **settings)
            installation, *_ = stack.enter_context(running)
            installation.load_library()
            return installation

        yield get


@pytest.fixture(params=BACKENDS)
def installation(
    request: pytest.FixtureRequest, installations: Callable[[str], Installation]
) -> Installation:
    """A whole installation, shared by the tests of a session: use own keys, documents, conversations."""
    return installations(request.param)


@pytest.fixture
def api(installation: Installation) -> Iterator[httpx.Client]:
    """A new user's client."""
    with installation.client(installation.key()) as client:
        yield client


@pytest.fixture
def admin(installation: Installation) -> Iterator[httpx.Client]:
    with installation.client(installation.key("admin")) as client:
        yield client


@pytest.fixture(scope="session")
def scenes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Scene]]:
    """A scene on each database, made when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def get(backend: str) -> Scene:
            folder = tmp_path_factory.mktemp(f"scene-{backend}")
            model = stack.enter_context(model_server(reply()))
            settings = {
                "OPENAI_API_KEY": "sk-test-canary",
                "OPENAI_BASE_URL": model.server.base_url,
            }
            running = installed(backend, request, folder, *PROCESSES, **settings)
            installation, redis, _ = stack.enter_context(running)
            client = stack.enter_context(installation.client(installation.key("admin")))
            ingested(client, "wombat.md", DOCUMENT, "text/markdown")
            return Scene(installation, redis, model, client)

        yield get


@pytest.fixture(params=BACKENDS)
def written_scene(request: pytest.FixtureRequest, scenes: Callable[[str], Scene]) -> Scene:
    return scenes(request.param)


@pytest.fixture
def scene(written_scene: Scene) -> Scene:
    """An installation whose answers a scripted model writes; whole again for each test."""
    written_scene.heal()
    written_scene.model.answer_with(reply())
    return written_scene


@pytest.fixture
def scene_client(scene: Scene) -> Iterator[httpx.Client]:
    """A new user of a scene whose worker is frozen: what they ask waits."""
    worker = scene.installation.processes["answers"]
    worker.signal(signal.SIGSTOP)
    with scene.installation.client(scene.installation.key()) as client:
        yield client
        worker.signal(signal.SIGCONT)
        # What they asked is answered before the next test counts calls of the model.
        wait_until(
            lambda: all(
                not client.get("/api/v1/jobs", params={"state": state}).json()["items"]
                for state in ("queued", "running")
            ),
            "every question being answered",
        )
