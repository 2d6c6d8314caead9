"""What retrieval needs from an embedding model and a vector store, and which collection serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ai_investment.content.models import ContentRevision, Document, VectorCollection
from ai_investment.db import Db, Read, db_now
from ai_investment.jobs.errors import Later

if TYPE_CHECKING:  # the API imports this module, and needs no numpy
    import numpy as np
    from numpy.typing import NDArray


class Embedder(Protocol):
    """A local embedding model; unit-length vectors, so the dot product is the cosine."""

    @property
    def name(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, dimension)."""
        ...

    def count_tokens(self, text: str) -> int: ...


class VectorStoreUnavailable(Later):
    """The vector store does not answer or refuses: a job waits for it, which costs no attempt."""

    def __init__(self, reason: str) -> None:
        super().__init__(5)
        self.args = (reason,)


class Hit(msgspec.Struct, frozen=True):
    """A candidate: a passage id and its score, an inner product (-1 to 1) or a BM25 score."""

    passage_id: str
    score: float


class Vectors(Protocol):
    """A vector store. It may answer ids that SQL no longer knows; SQL decides.

    Raises VectorStoreUnavailable.
    """

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> None: ...
    async def query(
        self, collection: str, vector: NDArray[np.float32], limit: int
    ) -> list[Hit]: ...
    async def delete(self, collection: str, ids: Sequence[str]) -> None: ...
    async def drop(self, collection: str) -> None: ...


# Raise it with every change to what is embedded of a passage, and how vectors are compared.
_FORM = 2


def vectors_name(embedder: Embedder) -> str:
    """What vectors are made by: those of two names do not compare."""
    return f"{embedder.name}-f{_FORM}"


def collection_name(embedder: Embedder, generation: int) -> str:
    """The name carries model and dimension: vectors of two models can never meet."""
    return f"library-{vectors_name(embedder)}-{embedder.dimension}-g{generation}"


async def serving_collection(db: Db | Read, embedder: Embedder) -> str | None:
    """The collection to ask for this model; None while nothing was ever indexed with it."""
    query = (
        sa.select(VectorCollection.name)
        .where(VectorCollection.model == vectors_name(embedder), VectorCollection.serving)
        .order_by(VectorCollection.generation.desc())
        .limit(1)
    )
    return (await db.execute(query)).scalar_one_or_none()


def _seen_at_birth() -> sa.ColumnElement[int]:
    """An empty collection lacks nothing while nothing is live."""
    anything = sa.exists().where(Document.live_version_id.is_not(None))
    revision = sa.select(ContentRevision.revision).scalar_subquery()
    return sa.case((anything, -1), else_=revision)


async def ensure_serving_collection(db: Db, embedder: Embedder) -> str:
    """The serving collection, made known as generation 1 when there is none."""
    if name := await serving_collection(db, embedder):
        return name
    name = collection_name(embedder, 1)
    build = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    first = build(VectorCollection).values(
        name=name,
        model=vectors_name(embedder),
        dimension=embedder.dimension,
        generation=1,
        serving=True,
        seen_revision=_seen_at_birth(),
        created_at=db_now(),
    )
    await db.execute(first.on_conflict_do_nothing())
    return name
