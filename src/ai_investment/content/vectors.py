"""What retrieval needs from an embedding model and a vector store, and which collection serves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ai_investment.compiled import Compiled
from ai_investment.content.models import ContentRevision, Document, VectorCollection
from ai_investment.db import Database, Db, db_now
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
    """A vector store, for vectors of a length of at most 1. It may answer ids that SQL no longer knows; SQL decides.

    Raises VectorStoreUnavailable.
    """

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> None: ...
    async def query(self, collection: str, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        """Those nearest to a vector as the store's graph finds them, which may miss some."""
        ...

    async def scores(
        self, collection: str, vector: NDArray[np.float32], ids: Sequence[str]
    ) -> list[Hit]:
        """These passages' own scores, whatever the graph finds; those that are not there are left out."""
        ...

    async def delete(self, collection: str, ids: Sequence[str]) -> None: ...
    async def drop(self, collection: str) -> None: ...


# Raise it with every change to what is embedded of a passage, and how vectors are compared and linked.
_FORM = 4


def vectors_name(embedder: Embedder) -> str:
    """What vectors are made by: those of two names do not compare, those of one have one dimension."""
    return f"{embedder.name}-f{_FORM}-{embedder.dimension}"


def collection_name(embedder: Embedder, generation: int) -> str:
    """The name carries model and dimension: vectors of two models can never meet."""
    return f"library-{vectors_name(embedder)}-g{generation}"


class IndexIncomplete(Exception):
    """This model's index does not hold everything that is live yet."""


async def collection_to_ask(database: Database, embedder: Embedder) -> str | None:
    """The collection of this model that holds everything live; None while nothing is live.

    Raises IndexIncomplete: it is being built, or follows what a worker with another model took in.
    """
    model = vectors_name(embedder)
    asked = _complete(database.engine.dialect)
    [(name, anything_live)] = await database.alone(asked, wanted=model)
    if not anything_live:
        return None
    if name is None:
        raise IndexIncomplete(model)
    return cast("str", name)


@cache
def _complete(dialect: sa.Dialect) -> Compiled:
    everything = sa.select(ContentRevision.revision).scalar_subquery()
    serving = _serving(sa.bindparam("wanted", ""))
    name = serving.where(VectorCollection.seen_revision >= everything).scalar_subquery()
    return Compiled(sa.select(name, ANYTHING_LIVE), dialect)


async def serving_collection(db: Db, embedder: Embedder) -> str | None:
    """The collection that what this model embeds goes to; None while its index is not built."""
    return await db.scalar(_serving(vectors_name(embedder)))


def _serving(model: str | sa.BindParameter[str]) -> sa.Select[str]:
    return (
        sa.select(VectorCollection.name)
        .where(VectorCollection.model == model, VectorCollection.serving)
        .order_by(VectorCollection.generation.desc())
        .limit(1)
    )


ANYTHING_LIVE = sa.exists().where(Document.live_version_id.is_not(None))


async def ensure_serving_collection(db: Db, embedder: Embedder) -> str | None:
    """The serving collection. While nothing is live an empty one is complete, and is made when there is
    none; None when that has to be built first.
    """
    name = await serving_collection(db, embedder)
    if name is None and not await db.scalar(sa.select(ANYTHING_LIVE)):
        build = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
        revision = sa.select(ContentRevision.revision).scalar_subquery()
        first = build(VectorCollection).values(
            **new_generation(embedder, 1), serving=True, seen_revision=revision
        )
        await db.execute(first.on_conflict_do_nothing())
        name = await serving_collection(db, embedder)
    return name


def new_generation(embedder: Embedder, generation: int) -> dict[str, Any]:
    """The columns of a new collection."""
    return {
        "name": collection_name(embedder, generation),
        "model": vectors_name(embedder),
        "dimension": embedder.dimension,
        "generation": generation,
        "created_at": db_now(),
        "kept_at": db_now(),
    }
