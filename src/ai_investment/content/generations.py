"""Generations of a model's collection: begun, moved on, made the serving one, retired."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ai_investment.content.models import (
    ContentRevision,
    Document,
    DocumentVersion,
    PassageRow,
    VectorCollection,
)
from ai_investment.content.vectors import ANYTHING_LIVE, Embedder, new_generation, vectors_name
from ai_investment.db import Db, Read, db_now
from ai_investment.jobs.errors import Later

SERVING = VectorCollection.serving.is_(True)
BUILDING = sa.and_(VectorCollection.serving.is_(False), VectorCollection.retired_at.is_(None))


class At(NamedTuple):
    """How far a collection is: it has every change up to `revision`, and of the next one those of the
    documents up to `document`."""

    revision: int
    document: str

    def beyond(self) -> sa.ColumnElement[bool]:
        """The documents whose last change is not in the collection."""
        return sa.tuple_(Document.revision, Document.id) > sa.tuple_(
            self.revision + 1, self.document
        )


class Generation(msgspec.Struct, frozen=True):
    name: str
    at: At


class Behind(Exception):
    """Documents have changed meanwhile."""


class AnotherWriter(Later):
    """Another job moves the same collection on."""

    def __init__(self) -> None:
        super().__init__(2)


async def generation(
    db: Db | Read, embedder: Embedder, which: sa.ColumnElement[bool]
) -> Generation | None:
    """The newest of this model's collections that are so."""
    query = (
        sa.select(
            VectorCollection.name, VectorCollection.seen_revision, VectorCollection.seen_document
        )
        .where(VectorCollection.model == vectors_name(embedder), which)
        .order_by(VectorCollection.generation.desc())
        .limit(1)
    )
    row = (await db.execute(query)).one_or_none()
    return Generation(row.name, At(row.seen_revision, row.seen_document)) if row else None


async def begin(db: Db, embedder: Embedder, asked_at: datetime) -> Generation | None:
    """The generation to build: one that was broken off, or the next.

    None: one that was begun since `asked_at`, or at the same time, serves already.
    """
    if await generation(db, embedder, sa.and_(SERVING, VectorCollection.created_at >= asked_at)):
        return None
    if begun := await generation(db, embedder, BUILDING):
        return begun
    last = sa.select(sa.func.max(VectorCollection.generation)).where(
        VectorCollection.model == vectors_name(embedder)
    )
    build = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = new_generation(embedder, (await db.scalar(last) or 0) + 1)
    await db.execute(build(VectorCollection).values(**row, serving=False).on_conflict_do_nothing())
    return await generation(db, embedder, BUILDING)


async def keep(db: Db, embedder: Embedder) -> None:
    """Note that a worker has this model."""
    await db.execute(
        sa.update(VectorCollection)
        .where(
            VectorCollection.model == vectors_name(embedder), VectorCollection.retired_at.is_(None)
        )
        .values(kept_at=db_now())
    )


async def move(db: Db, name: str, at: At, to: At) -> At:
    """Store that the collection has got from one place to the next. Raises AnotherWriter."""
    await _set(db, name, at, seen_revision=to.revision, seen_document=to.document)
    return to


async def complete(db: Db, name: str, at: At) -> list[str]:
    """Make the collection the serving one if it has everything; no change comes between.

    Returns the names of its model's collections that it replaces. Raises Behind, AnotherWriter.
    """
    # The row that every change to what is live locks.
    revision = await db.scalar(sa.select(ContentRevision.revision).with_for_update())
    if await db.scalar(sa.select(sa.exists().where(at.beyond()))):
        raise Behind
    await _set(db, name, at, seen_revision=revision, seen_document="", serving=True)
    model = sa.select(VectorCollection.model).where(VectorCollection.name == name)
    return await retire(
        db,
        VectorCollection.model == model.scalar_subquery(),
        VectorCollection.name != name,
        SERVING,
    )


async def _set(db: Db, name: str, at: At, **values: object) -> None:
    moved = await db.execute(
        sa.update(VectorCollection)
        .where(
            VectorCollection.name == name,
            VectorCollection.retired_at.is_(None),
            VectorCollection.seen_revision == at.revision,
            VectorCollection.seen_document == at.document,
        )
        .values(kept_at=db_now(), **values)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]
        raise AnotherWriter


async def retire(db: Db, *which: sa.ColumnElement[bool]) -> list[str]:
    """Take these collections out of use; returns their names, for the job that drops them."""
    gone = await db.scalars(
        sa.update(VectorCollection)
        .where(*which, VectorCollection.retired_at.is_(None))
        .values(serving=False, retired_at=db_now())
        .returning(VectorCollection.name)
        .execution_options(synchronize_session=False)
    )
    return list(gone)


class CollectionView(msgspec.Struct, frozen=True):
    """A collection of the index. `passages`: live ones that are in it. `behind`: documents whose last
    change is not in it yet. `lost`: passages that the last check did not find by their own words."""

    name: str
    model: str
    dimension: int
    generation: int
    state: str
    """building, serving or retired."""
    passages: int
    behind: int
    created_at: datetime
    checked_at: datetime | None
    lost: int | None


async def collections(read: Read) -> list[CollectionView]:
    """All collections, the newest first."""
    table = VectorCollection
    ahead = sa.tuple_(Document.revision, Document.id) > sa.tuple_(
        table.seen_revision + 1, table.seen_document
    )
    live = Document.live_version_id.is_not(None)
    behind = (
        sa.select(sa.func.count())
        .select_from(Document)
        .where(ahead, sa.or_(live, Document.revision > 0))
        .correlate(table)
    )
    passages = (
        sa.select(sa.func.count())
        .select_from(PassageRow)
        .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
        .join(Document, Document.live_version_id == DocumentVersion.id)
        .where(sa.not_(ahead))
        .correlate(table)
    )
    state = sa.case(
        (table.serving, "serving"), (table.retired_at.is_not(None), "retired"), else_="building"
    )
    query = sa.select(
        table.name, table.model, table.dimension, table.generation, state.label("state"),
        passages.scalar_subquery(), behind.scalar_subquery(),
        table.created_at, table.checked_at, table.lost,
    ).order_by(table.created_at.desc(), table.name)  # fmt: skip
    return [CollectionView(*row) for row in await read.execute(query)]


async def index_trouble(read: Read) -> str | None:
    """What an operator should know of the index; None when it holds everything and finds it."""
    table = VectorCollection
    everything = sa.select(ContentRevision.revision).scalar_subquery()
    complete = sa.exists().where(table.serving, table.seen_revision >= everything)
    query = sa.select(
        sa.func.coalesce(sa.func.sum(table.lost).filter(table.serving), 0),
        sa.and_(ANYTHING_LIVE, sa.not_(complete)),
    )
    lost, incomplete = (await read.execute(query)).one()
    if incomplete:
        return "the index is not complete: answers come from words alone"
    if lost:
        return "live passages were not found by their own words: run `ai-investment index rebuild`"
    return None
