"""Jobs that keep each model's index whole: build it anew, bring it up, check it, drop what it replaced.

Who writes where, and why a model can be changed while others ask: docs/decisions/0007.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from ai_investment.content.canary import Checked, check
from ai_investment.content.generations import (
    SERVING,
    At,
    Behind,
    Generation,
    begin,
    complete,
    generation,
    keep,
    move,
    retire,
)
from ai_investment.content.indexing import Indexing, write_vectors
from ai_investment.content.models import ContentRevision, Document, VectorCollection
from ai_investment.content.revisions import Change, changes_after
from ai_investment.content.vectors import (
    Embedder,
    Vectors,
    VectorStoreUnavailable,
    ensure_serving_collection,
    vectors_name,
)
from ai_investment.db import Db, db_now
from ai_investment.errors import Problem
from ai_investment.jobs.declare import job
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.errors import Later
from ai_investment.jobs.run import Run
from ai_investment.jobs.schedule import schedule

# Passages between two places at which a build that breaks off can go on.
_PART = 256
# A model that no worker has had for so long is not in use any more.
_ABANDONED = timedelta(hours=1)
# Whoever read the name of a collection before it was replaced has asked it by then.
_GRACE = 60
# A collection that cannot be asked for so long is not to be relied on.
_PATIENCE = timedelta(minutes=10)
_EVERYTHING = sa.select(ContentRevision.revision).scalar_subquery()


class Dropping(Protocol):
    """What the delivery worker provides."""

    vectors: Vectors


class UnsoundIndex(Problem):
    """A collection that was just built does not find what is in it."""

    status, title = 500, "Unsound index"


class NoSuchModel(Problem):
    """No embeddings worker has the model."""

    status, title = 409, "No worker has this embedding model"


class Built(msgspec.Struct, frozen=True):
    """The result of a build: the collection that serves now, and the documents that this run wrote."""

    collection: str
    documents: int


@job("content.rebuild_index", queue="embeddings", attempts=5, lease=60, unique="model")
async def rebuild_index(run: Run[Indexing], model: str) -> None:
    """Build the next generation of a model's collection beside the serving one, then let it serve.

    What comes, changes or goes meanwhile is in it too. Broken off anywhere, it goes on where it was.
    """
    if not await _is_mine(run, model):
        return
    async with run.database.transaction() as db:
        building = await begin(db, run.use.embedder, run.job.created_at)
    if building is None:
        return
    # With nothing live the collection has to be there as well.
    await run.use.vectors.upsert(building.name, [], run.use.embedder.embed([]))
    at, written = await _bring_up(run, building, "embedding")
    await run.progress("checking")
    checked = await check(run.database, Generation(building.name, at), run.use)
    if not checked.sound:
        problem = UnsoundIndex(
            f"{checked.lost} of {checked.asked} passages were not found by their own words in "
            f"{building.name}. It was given up; what served before serves on."
        )
        async with run.fail(problem) as db:
            await _drop(db, await retire(db, VectorCollection.name == building.name))
        return
    await _serve(run, Generation(building.name, at), written)


@job("content.follow_index", queue="embeddings", attempts=5, lease=60, priority=4, unique="model")
async def follow_index(run: Run[Indexing], model: str) -> None:
    """Bring a model's serving collection up to what workers with another model have taken in."""
    if not await _is_mine(run, model):
        return
    async with run.database.reading() as read:
        serving = await generation(read, run.use.embedder, SERVING)
    if serving is not None:
        await _serve(run, serving, 0)


@job("content.drop_collection", queue="delivery", attempts=10, lease=60, priority=7, unique="name")
async def drop_collection(run: Run[Dropping], name: str) -> None:
    """Take a retired collection out of the vector store, once nobody asks it any more."""
    age = sa.select(VectorCollection.retired_at, db_now()).where(
        VectorCollection.name == name, VectorCollection.retired_at.is_not(None)
    )
    async with run.database.reading() as read:
        row: Any = (await read.execute(age)).one_or_none()
    if row is None:
        return
    retired_at, now = row
    if (left := _GRACE - (now - retired_at).total_seconds()) > 0:
        raise Later(left)
    await run.use.vectors.drop(name)
    async with run.settle() as db:
        await db.execute(
            sa.delete(VectorCollection).where(
                VectorCollection.name == name, VectorCollection.retired_at.is_not(None)
            )
        )


@job("content.check_index", queue="embeddings", attempts=3, lease=60, priority=8)
async def check_index(run: Run[Indexing]) -> None:
    """Ask the serving collection for live passages; the health page says when some are not found."""
    async with run.database.reading() as read:
        serving = await generation(read, run.use.embedder, SERVING)
    checked = None
    if serving is not None:
        try:
            checked = await check(run.database, serving, run.use)
        except VectorStoreUnavailable:
            if datetime.now(UTC) - run.job.created_at < _PATIENCE:
                raise
            checked = Checked(serving.name, asked=1, lost=1)  # it may be gone from the store
    async with run.settle(checked) as db:
        if checked is not None:
            await db.execute(
                sa.update(VectorCollection)
                .where(VectorCollection.name == checked.collection)
                .values(checked_at=db_now(), lost=0 if checked.sound else checked.lost)
            )
        retired = sa.select(VectorCollection.name).where(VectorCollection.retired_at.is_not(None))
        await _drop(db, (await db.scalars(retired)).all())


schedule("content.check_index", "43 * * * *", check_index)


async def worker_starts(db: Db, embedder: Embedder) -> None:
    """What every embeddings worker does first: a job for its model may have waited for so long that others
    would give it up."""
    await keep(db, embedder)
    await want_index(db, embedder)


async def want_index(db: Db, embedder: Embedder) -> None:
    """See to it that every index in use gets everything that is live: this model's is built when it has
    none (of an empty library it is whole), and those that are behind are brought up by workers that have
    their model.
    """
    if await ensure_serving_collection(db, embedder) is None:
        await begin(db, embedder, datetime.now(UTC))
        await enqueue(db, None, rebuild_index, model=vectors_name(embedder))
    behind = sa.select(VectorCollection.model).where(
        VectorCollection.serving, VectorCollection.seen_revision < _EVERYTHING
    )
    for model in (await db.scalars(behind)).all():
        await enqueue(db, None, follow_index, model=model)


async def _drop(db: Db, names: Sequence[str]) -> None:
    for name in names:
        await enqueue(db, None, drop_collection, name=name)


async def _is_mine(run: Run[Indexing], model: str) -> bool:
    """Whether this worker has the model; if not, the job is left for one that has it.

    When none has done anything for an hour the job fails, and what is not whole of the model's index goes.
    """
    if model == vectors_name(run.use.embedder):
        return True
    theirs = VectorCollection.model == model
    async with run.database.reading() as read:
        kept = await read.scalar(sa.select(sa.func.max(VectorCollection.kept_at)).where(theirs))
    idle = datetime.now(UTC) - max(run.job.created_at, kept or run.job.created_at)
    if idle < _ABANDONED:
        raise Later(2 + idle.total_seconds() / 10)
    problem = NoSuchModel(f"No embeddings worker has had the model {model} for an hour.")
    async with run.fail(problem) as db:
        unfinished = VectorCollection.seen_revision < _EVERYTHING
        await _drop(db, await retire(db, theirs, unfinished))
    return False


async def _serve(run: Run[Indexing], built: Generation, written: int) -> None:
    """Bring a collection up until nothing changes any more, and let it serve from that moment on."""
    while True:
        at, more = await _bring_up(run, built, "following")
        built, written = Generation(built.name, at), written + more
        try:
            async with run.settle(Built(built.name, written)) as db:
                await _drop(db, await complete(db, built.name, at))
            return
        except Behind:
            continue


async def _bring_up(run: Run[Indexing], built: Generation, stage: str) -> tuple[At, int]:
    """Write into a collection what has changed since it was there; returns where it is then."""
    at, written = built.at, 0
    live = sa.select(
        sa.func.count(), sa.func.count().filter(sa.not_(at.beyond()))
    ).where(Document.live_version_id.is_not(None))  # fmt: skip
    async with run.database.reading() as read:
        total, done = (await read.execute(live)).one()
    async for page in changes_after(run.database, at.revision + 1, at.document):
        for part in _parts(page):
            await write_vectors(part, built.name, run.use.embedder, run.use.vectors)
            written += len(part)
            reached = min(done + written, total)
            to = At(part[-1].revision - 1, part[-1].document_id)
            async with run.step(stage, reached, total) as db:
                at = await move(db, built.name, at, to)
    return at, written


def _parts(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Some documents at a time, of as many passages as may be embedded again after a crash."""
    part: list[Change] = []
    for change in changes:
        part.append(change)
        if sum(len(item.passages) for item in part) >= _PART:
            yield part
            part = []
    if part:
        yield part
