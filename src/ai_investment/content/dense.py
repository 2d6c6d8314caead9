"""Candidates by meaning: the passages whose vectors are nearest to the question's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ai_investment.content.query import Question
from ai_investment.content.vectors import (
    Embedder,
    Hit,
    IndexIncomplete,
    Vectors,
    VectorStoreUnavailable,
    collection_to_ask,
)
from ai_investment.db import Database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class DenseUnavailable(Exception):
    """No candidates by meaning can be had in time: the vector store or the embeddings worker is away,
    or this model's index is not complete."""


class Dense(Protocol):
    """Candidates by meaning; in this process, or asked of the embeddings worker."""

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        """Best first. Raises DenseUnavailable."""
        ...

    async def scores(self, question: Question, ids: Sequence[str]) -> list[Hit]:
        """How near these passages are, whether `nearest` finds them or not. Raises DenseUnavailable."""
        ...


class LocalDense:
    """`Dense` with an embedding model of its own and a vector store, which has `seconds` to answer."""

    def __init__(
        self, database: Database, embedder: Embedder, vectors: Vectors, *, seconds: float = 2.0
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._vectors = vectors
        self._seconds = seconds

    async def nearest(self, question: Question, limit: int) -> list[Hit]:
        return await self._asked(
            question, lambda collection, vector: self._vectors.query(collection, vector, limit)
        )

    async def scores(self, question: Question, ids: Sequence[str]) -> list[Hit]:
        return await self._asked(
            question, lambda collection, vector: self._vectors.scores(collection, vector, ids)
        )

    async def _asked(
        self,
        question: Question,
        ask: Callable[[str, NDArray[np.float32]], Awaitable[list[Hit]]],
    ) -> list[Hit]:
        collection, vector = await asyncio.gather(self._collection(), self.vector(question))
        if collection is None:
            return []
        try:
            async with asyncio.timeout(self._seconds):
                return await ask(collection, vector)
        except (VectorStoreUnavailable, TimeoutError) as cause:
            raise DenseUnavailable(type(cause).__name__) from cause

    async def _collection(self) -> str | None:
        try:
            return await collection_to_ask(self._database, self._embedder)
        except IndexIncomplete as cause:
            raise DenseUnavailable(f"the index of {cause} is not complete") from cause

    async def vector(self, question: Question) -> NDArray[np.float32]:
        """The last turn's vector; in a conversation half of it and half of all that was asked."""
        texts = [question.last]
        if question.earlier:
            texts.append(question.asked)
        mixed = (await asyncio.to_thread(self._embedder.embed, texts)).sum(axis=0)
        unit: NDArray[np.float32] = mixed / float(mixed @ mixed) ** 0.5
        return unit
