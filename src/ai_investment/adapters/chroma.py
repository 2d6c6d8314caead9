"""The Chroma server as a vector store; its errors stop here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ai_investment.content.vectors import Hit, VectorStoreUnavailable

if TYPE_CHECKING:  # seconds of imports: loaded with the first use, or by `load`
    import numpy as np
    from chromadb.api import AsyncClientAPI
    from chromadb.api.models.AsyncCollection import AsyncCollection
    from numpy.typing import NDArray

# Chroma's own limit on one write is larger; small writes keep its memory flat.
_BATCH = 256
_SECONDS = 10.0
# Looks further for a new vector's neighbours than by default (100): what was unlike everything else got none
# that kept it, and one in four was never found (of 272 passages; now one in fifty).
_GRAPH: Any = {"space": "ip", "ef_construction": 200}


class ChromaVectors:
    """`Vectors` of a length of at most 1 on a Chroma server; a score is the inner product.

    It connects when first used: a worker starts, and waits for work, without Chroma.
    Every call ends within a time limit; what goes wrong is VectorStoreUnavailable.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "localhost"
        self._ssl = parts.scheme == "https"
        self._port = parts.port or (443 if self._ssl else 80)
        self._connecting = asyncio.Lock()
        self._connected: AsyncClientAPI | None = None
        self._collections: dict[str, AsyncCollection] = {}

    async def __aenter__(self) -> ChromaVectors:
        return self

    async def load(self) -> None:
        """Load the client library now, so that the first question does not wait for it."""
        await asyncio.to_thread(_library)

    async def __aexit__(self, *_: object) -> None:
        if self._connected is not None:
            server: Any = self._connected
            await server._server._cleanup()

    async def _client(self) -> AsyncClientAPI:
        async with self._connecting:
            if self._connected is None:
                chromadb = await asyncio.to_thread(_library)
                self._connected = await chromadb.AsyncHttpClient(
                    host=self._host,
                    port=self._port,
                    ssl=self._ssl,
                    settings=chromadb.config.Settings(anonymized_telemetry=False),
                )
            return self._connected

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> None:
        """Write vectors under their ids; writing twice leaves one. Makes the collection when missing."""
        async with _bounded():
            equal = _of_equal_length(vectors)
            if not ids:  # only that it is there is asked for
                self._collections.pop(collection, None)
            try:
                await _upsert(await self._opened(collection, make=True), ids, equal)
            except _library().errors.NotFoundError:  # dropped, or lost, since it was made
                self._collections.pop(collection, None)
                await _upsert(await self._opened(collection, make=True), ids, equal)

    async def query(self, collection: str, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        """The nearest ids, best first. A collection that SQL says serves and is not there is a fault."""
        import numpy as np

        async with self._asking(collection) as target:
            found: Any = await target.query(
                query_embeddings=np.append(vector, np.float32(0))[None, :],
                n_results=limit,
                include=["distances"],
            )
        return [
            Hit(passage_id, 1 - distance)
            for passage_id, distance in zip(found["ids"][0], found["distances"][0], strict=True)
        ]

    async def scores(
        self, collection: str, vector: NDArray[np.float32], ids: Sequence[str]
    ) -> list[Hit]:
        """These ids' inner products with a vector, whatever the graph finds; unknown ones are left out."""
        import numpy as np

        async with self._asking(collection) as target:
            found: Any = await target.get(ids=list(ids), include=["embeddings"])
        products = (
            np.asarray(found["embeddings"], np.float32).reshape(-1, len(vector) + 1)[:, :-1]
            @ vector
        )
        return [Hit(key, float(one)) for key, one in zip(found["ids"], products, strict=True)]

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Remove ids; unknown ids and collections are no error."""
        async with _bounded():
            try:
                target = await self._opened(collection)
                for start in range(0, len(ids), _BATCH):
                    await target.delete(ids=list(ids[start : start + _BATCH]))
            except _library().errors.NotFoundError:
                self._collections.pop(collection, None)

    async def drop(self, collection: str) -> None:
        """Remove a collection with all that is in it; an unknown one is no error."""
        async with _bounded():
            self._collections.pop(collection, None)
            with suppress(_library().errors.NotFoundError):
                await (await self._client()).delete_collection(collection)

    @asynccontextmanager
    async def _asking(self, collection: str) -> AsyncIterator[AsyncCollection]:
        """A collection that has to be there; one that is not is looked up anew the next time."""
        async with _bounded():
            try:
                yield await self._opened(collection)
            except _library().errors.NotFoundError:
                self._collections.pop(collection, None)
                raise

    async def _opened(self, collection: str, *, make: bool = False) -> AsyncCollection:
        if collection not in self._collections:
            client = await self._client()
            if make:
                found = await client.get_or_create_collection(
                    collection, configuration={"hnsw": _GRAPH}, embedding_function=None
                )
            else:
                found = await client.get_collection(collection, embedding_function=None)
            self._collections[collection] = found
        return self._collections[collection]


async def _upsert(
    target: AsyncCollection, ids: Sequence[str], vectors: NDArray[np.float32]
) -> None:
    for start in range(0, len(ids), _BATCH):
        end = start + _BATCH
        await target.upsert(ids=list(ids[start:end]), embeddings=vectors[start:end])


def _of_equal_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors with one more component, which makes each of length 1.

    A question has 0 there, so no inner product changes. The graph that Chroma searches links the long
    vectors to each other and loses short ones: of long documents, whose passages share a beginning,
    every third passage was not found (tests/content/test_vectors.py).
    """
    import numpy as np

    missing = np.sqrt(np.maximum(0, 1 - np.sum(vectors**2, axis=1, keepdims=True)))
    return np.concatenate([vectors, missing], axis=1, dtype=np.float32)


def _library() -> Any:
    import chromadb.config
    import chromadb.errors

    return chromadb


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """The client has no time limit of its own and many exceptions; for a 503 it raises plain `Exception`."""
    try:
        async with asyncio.timeout(_SECONDS):
            yield
    except Exception as cause:
        raise VectorStoreUnavailable(type(cause).__name__) from cause
