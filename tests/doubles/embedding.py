"""An embedding model and a vector store for tests that need many of them, fast and exact."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ai_investment.content.vectors import Hit, VectorStoreUnavailable


class HashingEmbedder:
    """Each word is thrown onto an axis: texts of like words have like vectors, the same every time."""

    def __init__(self, name: str, dimension: int, *, tokens_a_word: int = 1) -> None:
        self.name = name
        self.dimension = dimension
        self.tokens_a_word = tokens_a_word

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                vectors[row, crc32(f"{self.name} {word}".encode()) % self.dimension] += 1
        lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths

    def count_tokens(self, text: str) -> int:
        return self.tokens_a_word * len(re.findall(r"\w+", text))


class MemoryVectors:
    """`Vectors` in a dictionary. `down`: it does not answer; `loses`: the ids it forgets on arrival."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, NDArray[np.float32]]] = {}
        self.down = False
        self.loses: Callable[[str], bool] = lambda _: False

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> None:
        self._answer()
        kept = self.collections.setdefault(collection, {})
        assert {len(vector) for vector in (*kept.values(), *vectors)} <= {vectors.shape[1]}
        kept.update(
            {key: row for key, row in zip(ids, vectors, strict=True) if not self.loses(key)}
        )

    async def query(self, collection: str, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        return self._by_score(collection, vector)[:limit]

    async def scores(
        self, collection: str, vector: NDArray[np.float32], ids: Sequence[str]
    ) -> list[Hit]:
        return [hit for hit in self._by_score(collection, vector) if hit.passage_id in ids]

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        self._answer()
        for key in ids:
            self.collections.get(collection, {}).pop(key, None)

    async def drop(self, collection: str) -> None:
        self._answer()
        self.collections.pop(collection, None)

    def _by_score(self, collection: str, vector: NDArray[np.float32]) -> list[Hit]:
        self._answer()
        if collection not in self.collections:
            raise VectorStoreUnavailable("no such collection")
        scores = {key: float(kept @ vector) for key, kept in self.collections[collection].items()}
        best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        return [Hit(key, score) for key, score in best]

    def _answer(self) -> None:
        if self.down:
            raise VectorStoreUnavailable("down")
