"""Chroma as the vector store: what is in a collection is found."""

from __future__ import annotations

from uuid import uuid4

import chromadb
import httpx
import numpy as np

from ai_investment.adapters.chroma import ChromaVectors
from tests.services import ChromaServer


async def test_passages_of_long_documents_find_themselves(chroma: ChromaServer) -> None:
    """As vectors are made: half a passage's own, half its document's beginning, so of any length."""
    rng = np.random.default_rng(1)
    own = rng.normal(size=(600, 64)).astype(np.float32)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    vectors = ((own + np.repeat(own[::200], 200, axis=0)) / 2).astype(np.float32)
    name, ids = f"long-{uuid4().hex[:8]}", [str(number) for number in range(600)]
    async with ChromaVectors(chroma.url) as store:
        await store.upsert(name, ids, vectors)
        lost = 0
        for number in range(0, 600, 20):
            hits = await store.query(name, own[number], 200)
            scores = {hit.passage_id: hit.score for hit in hits}
            assert np.allclose(
                list(scores.values()), vectors[[*map(int, scores)]] @ own[number], atol=1e-5
            )
            lost += str(number) not in scores
    assert lost <= 1


async def test_what_the_graph_loses_has_its_score_all_the_same(chroma: ChromaServer) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(400, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    name, ids = f"lossy-{uuid4().hex[:8]}", [str(number) for number in range(400)]
    chromadb.HttpClient(port=httpx.URL(chroma.url).port or 0).create_collection(
        name, configuration={"hnsw": {"space": "ip", "max_neighbors": 2, "ef_construction": 2}}
    )
    async with ChromaVectors(chroma.url) as store:
        await store.upsert(name, ids, vectors)
        found = {hit.passage_id for hit in await store.query(name, vectors[0], 400)}
        lost = [key for key in ids if key not in found]
        assert lost
        hits = await store.scores(name, vectors[0], [*lost, "unknown"])
        assert sorted(hit.passage_id for hit in hits) == sorted(lost)
        for hit in hits:
            assert np.isclose(hit.score, vectors[int(hit.passage_id)] @ vectors[0], atol=1e-5)
        assert await store.scores(name, vectors[0], ["unknown"]) == []


async def test_a_collection_that_somebody_dropped_is_made_anew_by_the_next_write(
    chroma: ChromaServer,
) -> None:
    name, vectors = f"gone-{uuid4().hex[:8]}", np.eye(2, 8, dtype=np.float32)
    async with ChromaVectors(chroma.url) as ours, ChromaVectors(chroma.url) as theirs:
        await ours.upsert(name, ["a"], vectors[:1])
        await theirs.drop(name)
        await ours.upsert(name, ["b"], vectors[1:])
        assert [hit.passage_id for hit in await theirs.query(name, vectors[1], 5)] == ["b"]
        await theirs.drop(name)
        await ours.upsert(name, [], vectors[:0])
        assert await theirs.query(name, vectors[0], 5) == []
