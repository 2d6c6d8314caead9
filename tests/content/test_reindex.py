"""The index built anew: beside the serving one, on real stores, given up when it is not sound."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import chromadb
import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.tantivy import TantivyIndex
from ai_investment.content import reindex
from ai_investment.content.generations import CollectionView, collections, index_trouble
from ai_investment.content.jobs import index_document
from ai_investment.content.lexical import Follower
from ai_investment.content.models import VectorCollection
from ai_investment.content.reindex import check_index, rebuild_index
from ai_investment.content.vectors import Hit, Vectors
from ai_investment.db import Database, db_now
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import IS_RUNNING, Job
from ai_investment.jobs.sweep import sweep
from tests.content.index.process import Process
from tests.content.index.worker import run_index_worker
from tests.content.index.world import World
from tests.doubles.embedding import HashingEmbedder, MemoryVectors
from tests.faults.forks import Fork
from tests.faults.waiting import until
from tests.installation import Installation, asked
from tests.services import ChromaServer, RedisServer

TEXTS = {f"doc_{n}": f"Fund {n} owns shares. Its fee is {n} percent a year." for n in range(6)}

NewWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def new_world(database_url: str, bell: Bell) -> AsyncIterator[NewWorld]:
    """A library with two models, whose names nobody else in the same vector store has."""
    async with AsyncExitStack() as stack:

        async def make(store: Vectors, documents: int = len(TEXTS)) -> World:
            run = uuid4().hex[:8]
            processes = [
                Process(database_url, bell, HashingEmbedder(f"{name}-{run}", size), store)
                for name, size in (("one", 64), ("two", 96))
            ]
            database = Database(database_url)
            for opened in (database, *(process.database for process in processes)):
                stack.push_async_callback(opened.dispose)
            world = World(database, processes, Follower(TantivyIndex()), store)
            for document_id in reversed(list(TEXTS)[:documents]):
                await world.send(document_id, TEXTS[document_id])
            await world.comes_to_rest()
            return world

        yield make


async def seen(world: World) -> dict[str, CollectionView]:
    async with world.database.reading() as read:
        return {item.name: item for item in await collections(read)}


async def found_by_meaning(world: World) -> list[bool]:
    """For each model: whether every live passage is found by its vectors too."""
    live = await world.live_passages()
    texts = {passage.document_id: passage.whole for passage in live}
    assert texts == {key: text for key, text in world.texts.items() if text is not None}
    return [
        all([await world.asked(process, passage) for passage in live])
        for process in world.processes
    ]


async def test_a_worker_that_came_to_an_empty_library_follows_what_another_model_takes_in(
    new_world: NewWorld,
) -> None:
    world = await new_world(MemoryVectors(), 0)
    world.in_use = world.processes
    await world.send("doc_0", TEXTS["doc_0"])
    await world.comes_to_rest()
    assert await found_by_meaning(world) == [True, True]


async def test_a_model_is_replaced_while_the_library_changes_and_a_build_dies(
    new_world: NewWorld, chroma: ChromaServer
) -> None:
    async with ChromaVectors(chroma.url) as vectors:
        world = await new_world(vectors)
        one, two = world.processes
        assert await found_by_meaning(world) == [True, False]

        world.in_use = [two, one]
        await two.start()
        two.fate.dies_in = 5
        await two.work("embeddings", rebuild_index)
        assert two.fate.dead.is_set()
        await world.send("doc_0", "Fund 0 has become a bond.")
        await one.work()
        await world.delete("doc_1")
        assert await found_by_meaning(world) == [True, False]
        await world.comes_to_rest()
        assert await found_by_meaning(world) == [True, True]

        await world.want_rebuild(one)
        await world.comes_to_rest()
        assert await found_by_meaning(world) == [True, True]
        rows = await seen(world)
        assert {(row.model, row.generation, row.state, row.behind) for row in rows.values()} == {
            (one.model, 2, "serving", 0),
            (two.model, 1, "serving", 0),
        }
        assert {row.passages for row in rows.values()} == {5}
        client = await chromadb.AsyncHttpClient(port=int(chroma.url.rsplit(":", 1)[1]))
        there = {item.name for item in await client.list_collections(limit=1000)}
        assert {name for name in there if one.model in name or two.model in name} == set(rows)


async def whole_after(new_world: NewWorld, happens: Callable[[World, Process, int], None]) -> None:
    """Build while something happens at its first point, then at its second, and so on to its last."""
    store = MemoryVectors()
    world = await new_world(store, documents=3)
    [process, _] = world.processes
    for point in count(1):
        await process.start()
        happens(world, process, point)
        await world.want_rebuild(process)
        await process.work("embeddings", rebuild_index)
        came_to_it = process.fate.dead.is_set() or process.fate.meanwhile is None
        await process.start()
        await world.comes_to_rest()
        [collection] = store.collections.values()
        assert {passage.id for passage in await world.live_passages()} <= set(collection), point
        if not came_to_it:
            assert point > 15
            return


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_build_that_dies_at_any_point_goes_on_to_a_whole_index(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "_PART", 1)

    def dies(_: World, process: Process, point: int) -> None:
        process.fate.meanwhile, process.fate.dies_in = never, point

    async def never() -> None: ...

    await whole_after(new_world, dies)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_changes_at_any_point_of_a_build_is_in_the_index(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "_PART", 1)

    def changes(world: World, process: Process, point: int) -> None:
        async def meanwhile() -> None:
            await world.send(f"doc_{point % 4}", f"Fund {point} is new.")
            await process.work("embeddings", index_document)

        process.fate.meanwhile, process.fate.interrupted_in = meanwhile, point

    await whole_after(new_world, changes)


async def test_a_build_that_does_not_find_its_passages_is_given_up(new_world: NewWorld) -> None:
    store = MemoryVectors()
    world = await new_world(store)
    [serving] = await seen(world)
    store.loses = lambda passage_id: passage_id[-1] in "02468ace"

    async with world.database.transaction() as db:
        job = await enqueue(db, None, rebuild_index, model=world.processes[0].model)
    await world.processes[0].work()
    async with world.database.reading() as read:
        row = (await read.execute(sa.select(Job.state, Job.error).where(Job.id == job.id))).one()
    assert row.state == "failed"
    assert "passages were not found by their own words" in row.error["detail"]

    await world.comes_to_rest()
    assert list(await seen(world)) == list(store.collections) == [serving]
    assert (await found_by_meaning(world))[0]


async def test_a_store_that_has_lost_passages_is_reported_until_the_index_is_built_anew(
    new_world: NewWorld,
) -> None:
    store = MemoryVectors()
    world = await new_world(store)
    [process, _] = world.processes

    async def trouble() -> str | None:
        async with world.database.transaction() as db:
            await enqueue(db, None, check_index)
        await process.work()
        async with world.database.reading() as read:
            return await index_trouble(read)

    assert await trouble() is None
    [vectors] = store.collections.values()
    vectors.pop(next(iter(vectors)))
    assert "ai-investment index rebuild" in str(await trouble())
    store.collections.clear()  # the store's disk was replaced
    async with world.database.transaction() as db:
        await db.execute(sa.update(VectorCollection).values(lost=None))
        await enqueue(db, None, check_index)
        await db.execute(sa.update(Job).values(created_at=db_now(-3600)))
    await process.work()
    async with world.database.reading() as read:
        assert "ai-investment index rebuild" in str(await index_trouble(read))

    await world.want_rebuild(process)
    await world.comes_to_rest()
    assert await trouble() is None
    assert (await found_by_meaning(world))[0]


class Unlinked(MemoryVectors):
    """Has vectors that a query does not find until they are written again, as a graph may."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> None:
        self.lost -= set(ids)
        await super().upsert(collection, ids, vectors)

    async def query(self, collection: str, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        hits = await super().query(collection, vector, limit)
        return [hit for hit in hits if hit.passage_id not in self.lost]


async def test_a_passage_that_nothing_links_to_is_written_again_by_the_check(
    new_world: NewWorld,
) -> None:
    store = Unlinked()
    world = await new_world(store)
    live = {passage.id for passage in await world.live_passages()}
    store.lost = set(live)
    async with world.database.transaction() as db:
        job = await enqueue(db, None, check_index)
    await world.processes[0].work()
    async with world.database.reading() as read:
        result: Any = await read.scalar(sa.select(Job.result).where(Job.id == job.id))
    assert (result["asked"], result["lost"], store.lost) == (len(live), 0, set())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_build_whose_worker_is_killed_goes_on_where_it_was(
    new_world: NewWorld,
    database_url: str,
    bell: Bell,
    redis_server: RedisServer,
    chroma: ChromaServer,
    tmp_path: Path,
) -> None:
    env = {"DATABASE_URL": database_url, "REDIS_URL": redis_server.url, "CHROMA_URL": chroma.url}
    async with ChromaVectors(chroma.url) as vectors:
        world = await new_world(vectors)
        [process, _] = world.processes
        # Each has more passages than a build may lose.
        process.embedder.tokens_a_word = 60
        for number in range(2):
            # No near-copies: hundreds of them keep what is unlike them out of the store's graph.
            text = "\n\n".join(f"Share{n} costs euro{n}{number}." for n in range(260))
            await world.send(f"long_{number}", text)
        await world.comes_to_rest()

        def new_worker() -> Fork:
            arguments = (process.embedder.name, process.embedder.dimension)
            return Fork(tmp_path / f"{uuid4()}.log", env, run_index_worker, *arguments)

        async def place() -> Any:
            query = sa.select(VectorCollection.serving, VectorCollection.seen_document).where(
                VectorCollection.generation == 2
            )
            async with world.database.reading() as read:
                return (await read.execute(query)).one_or_none() or (False, "")

        async with world.database.transaction() as db:
            job = await enqueue(db, None, rebuild_index, model=process.model)
        worker = new_worker()
        await worker.ready()

        async def a_part_is_done() -> bool:
            return bool((await place())[1].startswith("long_"))

        await until(a_part_is_done, "a part of the build")
        worker.kill()
        assert not (await place())[0]

        async with world.database.transaction() as db:
            await db.execute(sa.update(Job).where(IS_RUNNING).values(lease_until=db_now(-1)))
        await sweep(Database(database_url, bell.publish), bell)
        worker = new_worker()

        async def row() -> Any:
            query = sa.select(Job.result, Job.error, Job.finished_at).where(Job.id == job.id)
            async with world.database.reading() as read:
                return (await read.execute(query)).one()

        async def has_ended() -> bool:
            return (await row()).finished_at is not None

        await until(has_ended, "the end of the build")
        worker.kill()
        assert (await row()).error is None
        assert (await place())[0]
        result = (await row()).result
        assert 0 < result["documents"] < len(world.texts)
        client = await chromadb.AsyncHttpClient(port=int(chroma.url.rsplit(":", 1)[1]))
        built = await client.get_collection(result["collection"], embedding_function=None)
        assert await built.count() == len(await world.live_passages()) > 2 * 256


@pytest.mark.timeout(300)  # it may be the one that sets the installation up
def test_an_operator_sees_the_index_and_builds_it_anew(
    installation: Installation, admin: httpx.Client, api: httpx.Client
) -> None:
    env = {
        "AI_INVESTMENT_URL": installation.url,
        "AI_INVESTMENT_API_KEY": admin.headers["x-api-key"],
    }
    before = admin.get("/api/v1/admin/index").json()[0]
    assert before["state"] == "serving"
    assert before["behind"] == 0
    assert before["passages"] > 0

    done = installation.cli("index", "rebuild", "--json", env=env)
    assert json.loads(done.stdout)["result"]["documents"] > 0
    shown = json.loads(installation.cli("index", "status", "--json", env=env).stdout)
    [serving] = [item for item in shown if item["state"] == "serving"]
    assert serving["generation"] == before["generation"] + 1
    assert serving["passages"] == before["passages"]
    assert "serving" in installation.cli("index", "status", env=env).stdout
    assert asked(api, "What is an ETF?")["result"]["degraded"] == []

    refused = installation.cli("index", "rebuild", "--model", "gpt", check=False, env=env)
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        "ai-investment: Which index to build: There is no model 'gpt'."
    )
    assert api.get("/api/v1/admin/index").status_code == 403
    assert api.post("/api/v1/admin/index/rebuild").status_code == 403
