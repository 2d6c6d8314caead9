"""A version change, synced: one line in Git, the migration before the rollout, old workers beside new jobs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml
from alembic import command

from ai_investment.db import Database
from ai_investment.jobs.models import Job
from ai_investment.migrations.head import head
from ai_investment.migrations.upgrade import config
from tests.installation import PROGRAM, clean_environment
from tests.manifests.cluster import Cluster, component, container
from tests.manifests.product import PROCESSES
from tests.manifests.render import GITOPS, Object, environment, objects
from tests.manifests.sync import Change, changed_fields, diff, key, sync
from tests.services import PostgresServer, Process, RedisServer, free_port, wait_until

NEXT = "sha256:" + "b" * 64


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Production after a release: its one file changed, as image automation or a pull request changes it."""
    copy = tmp_path_factory.mktemp("release") / "gitops"
    shutil.copytree(GITOPS / "apps", copy / "apps")
    file = copy / "apps" / "production" / "release" / "kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    content["images"][0] |= {"newTag": "0.2.0", "digest": NEXT}
    file.write_text(yaml.safe_dump(content))
    return objects(copy / "apps" / "production")


def _nothing(_: Change) -> None: ...


def _always(_: Change) -> bool:
    return True


def test_a_release_changes_the_image_of_our_workloads_and_nothing_else(
    released: list[Object],
) -> None:
    before = {key(item): item for item in environment("production")}
    changes = diff(environment("production"), released)
    assert {change.action for change in changes} == {"update"}
    assert {change.item["metadata"]["name"] for change in changes} == {
        *PROCESSES,
        "migrate",
        "chroma",
    }
    for change in changes:
        fields = changed_fields(before[key(change.item)], change.item)
        assert fields == {".spec.template.spec.containers.0.image"}
        assert container(change.item)["image"].endswith(f":0.2.0@{NEXT}")


def test_the_migration_is_done_before_any_process_of_the_release_starts(
    released: list[Object],
) -> None:
    changes = diff(environment("production"), released)
    applied = [key(change.item) for change in sync(changes, _nothing, _always)]
    migration = applied.index(("Job", "migrate"))
    rollout = [applied.index(("Deployment", name)) for name in PROCESSES]
    assert migration < min(rollout)


def test_a_failed_migration_leaves_the_running_release_alone(released: list[Object]) -> None:
    changes = diff(environment("production"), released)
    applied = [
        change.item
        for change in sync(changes, _nothing, lambda change: change.item["kind"] != "Job")
    ]
    assert ("Job", "migrate") in map(key, applied)
    assert not [
        item for item in applied if item["kind"] == "Deployment" and component(item) in PROCESSES
    ]


def test_a_first_sync_has_secrets_stores_and_claims_before_what_needs_them() -> None:
    order = [
        key(change.item) for change in sync(diff([], environment("production")), _nothing, _always)
    ]
    first = {kind: min(i for i, found in enumerate(order) if found[0] == kind) for kind, _ in order}
    assert order[0] == ("Namespace", "ai-investment")
    for early in ("ServiceAccount", "ExternalSecret", "PersistentVolumeClaim", "NetworkPolicy"):
        assert first[early] < order.index(("Job", "migrate")) < order.index(("Deployment", "api"))
    assert order.index(("Deployment", "redis")) < order.index(("Job", "migrate"))


def test_what_is_taken_out_of_git_is_pruned_last() -> None:
    after = [item for item in environment("production") if key(item) != ("Deployment", "delivery")]
    changes = diff(environment("production"), after)
    assert [(change.action, key(change.item)) for change in changes] == [
        ("delete", ("Deployment", "delivery"))
    ]


class Node:
    """Runs what manifests say as processes of this computer: their command, their settings, their probes."""

    def __init__(self, cluster: Cluster, folder: Path, secrets: dict[str, str]) -> None:
        self._cluster, self._folder = cluster, folder
        self._ports = {"http": free_port()}
        self.running: dict[str, Process] = {}
        for name, value in secrets.items():
            (folder / name).write_text(value)

    def apply(self, change: Change) -> None:
        item = change.item
        runs = item["kind"] == "Job" or _is_ours(item)
        if runs and component(item) not in self.running:
            self.start(item)

    def is_healthy(self, change: Change) -> bool:
        """Like a controller: a Job when it ended well, a Deployment when its readiness probe says so."""
        item = change.item
        if item["kind"] == "Job":
            return self.running[component(item)].popen.wait(90) == 0
        if _is_ours(item):
            wait_until(lambda: self.is_ready(item), f"{component(item)} being ready", 90)
        return True

    def start(self, item: Object) -> Process:
        name = component(item)
        self._ports[name] = free_port()
        values = {entry["name"]: entry["value"] for entry in container(item).get("env", [])}
        if "envFrom" in container(item):
            values |= self._cluster.settings
        values = {
            variable: str(self._folder / Path(value).name) if variable.endswith("_FILE") else value
            for variable, value in values.items()
        }
        values |= {
            "API_PORT": str(self._ports["http"]),
            "METRICS_PORT": str(self._ports[name]),
            "AI_INVESTMENT_DATA_DIRECTORY": str(self._folder),
            "CHROMA_URL": "http://127.0.0.1:1",
        }
        program = [*PROGRAM, *container(item)["args"]]
        process = Process(["env", "-i", *_pairs(values), *program], self._folder / f"{name}.log")
        self.running[name] = process
        return process

    def is_ready(self, item: Object) -> bool:
        probe = container(item)["readinessProbe"]["httpGet"]
        port = self._ports["http" if probe["port"] == "http" else component(item)]
        try:
            address = f"http://127.0.0.1:{port}{probe['path']}"
            return httpx.get(address, trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False


def _is_ours(item: Object) -> bool:
    return item["kind"] == "Deployment" and component(item) in PROCESSES


def _pairs(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in clean_environment(values).items()]


@pytest.fixture
def node(
    postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path, released: list[Object]
) -> Iterator[Node]:
    postgres.sql("CREATE DATABASE synced")
    asyncio.run(_at(postgres.url("synced"), "0001"))
    secrets = {
        "database_url": postgres.url("synced"),
        "redis_url": redis_server.url,
        "secret_key": "s" * 32,
        "jwt_secret_key": "j" * 32,
        "openai_api_key": "",
    }
    node = Node(Cluster(released), tmp_path, secrets)
    yield node
    for process in node.running.values():
        process.kill()


@pytest.mark.timeout(400)
def test_a_sync_on_real_processes_migrates_then_serves_and_leaves_unknown_jobs_alone(
    node: Node, released: list[Object], postgres: PostgresServer
) -> None:
    url = postgres.url("synced")
    wanted = {"migrate", "api", "pipeline", "scheduler"}
    changes = [c for c in diff([], released) if c.item["metadata"]["name"] in wanted]
    api = next(
        c.item
        for c in changes
        if c.item["metadata"]["name"] == "api" and c.item["kind"] == "Deployment"
    )

    # The new API on the old schema waits: it gets no traffic.
    node.start(api)
    wait_until(lambda: "database" in _body(node), "the API waiting for its database", 90)
    assert not node.is_ready(api)

    def apply(change: Change) -> None:
        assert not _is_ours(change.item) or asyncio.run(_revision(url)) == head()
        node.apply(change)

    assert len(list(sync(changes, apply, node.is_healthy))) == len(changes)
    assert node.is_ready(api)

    # The sweep finds both rows. A release that is not rolled out everywhere has accepted a job of a kind this worker does not know.
    unknown = asyncio.run(_insert(url, "pipeline.of_the_next_release"))
    known = asyncio.run(_insert(url, "content.extract_document"))
    wait_until(
        lambda: asyncio.run(_state(url, known))[0] != "queued", "a known job being taken", 60
    )
    assert asyncio.run(_state(url, unknown)) == ("queued", 0)


def _body(node: Node) -> str:
    try:
        port = node._ports["http"]
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False, timeout=5).text
    except httpx.HTTPError:
        return ""


async def _at(url: str, revision: str) -> None:
    database = Database(url)

    def upgrade(connection: sa.Connection) -> None:
        configuration = config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)

    async with database.engine.begin() as connection:
        await connection.run_sync(upgrade)
    await database.dispose()


async def _ask(url: str, statement: Any) -> Any:
    database = Database(url)
    async with database.transaction() as db:
        result = await db.execute(statement)
        rows = [] if statement.is_dml else result.all()
    await database.dispose()
    return rows


async def _revision(url: str) -> str:
    [(found,)] = await _ask(url, sa.text("SELECT version_num FROM alembic_version"))
    return str(found)


async def _insert(url: str, kind: str) -> str:
    now = sa.func.now()
    values = {
        "id": f"job_{kind}"[:40], "kind": kind, "queue": "pipeline", "args": {}, "max_attempts": 1,
        "lease_seconds": 60, "run_at": now, "created_at": now,
    }  # fmt: skip
    await _ask(url, sa.insert(Job).values(**values))
    return str(values["id"])


async def _state(url: str, job_id: str) -> tuple[str, int]:
    [row] = await _ask(url, sa.select(Job.state, Job.attempt).where(Job.id == job_id[:40]))
    return tuple(row)
