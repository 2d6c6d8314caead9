"""From received bytes to passages that retrieval finds: extract, index, remove."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from ai_investment.content.extraction import Extracted, Unreadable
from ai_investment.content.indexing import Indexing, cut, publish, words_of, write_vectors
from ai_investment.content.models import Document, DocumentVersion, PassageRow, VectorCollection
from ai_investment.content.objects import Objects
from ai_investment.content.reading import Reader, Study
from ai_investment.content.reindex import want_index
from ai_investment.content.vectors import Vectors, ensure_serving_collection
from ai_investment.db import Db
from ai_investment.errors import Problem
from ai_investment.jobs.declare import job
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.run import Run

# An operator may retry an extraction that has failed.
_TO_EXTRACT = ("received", "failed")


class UnreadableDocument(Problem):
    """The file cannot be turned into text; the detail says why."""

    status, title = 422, "Unreadable document"


class Extracting(Protocol):
    """What the pipeline worker provides."""

    objects: Objects
    reader: Reader


class Removing(Protocol):
    """What the delivery worker provides."""

    vectors: Vectors


class Stored(msgspec.Struct, frozen=True):
    """The result of the jobs a document goes through; `follow_up` names the next one on its way to be
    searchable. Without it and without `passages` the document was there already, word for word."""

    document_id: str
    version: int | None = None
    characters: int | None = None
    passages: int | None = None
    follow_up: str | None = None


@job("content.extract_document", queue="pipeline", attempts=3, lease=120, unique="version_id")
async def extract_document(run: Run[Extracting], version_id: str) -> None:
    """Turn the received bytes of a version into text."""
    version = await _version(run, version_id)
    await run.progress("reading")
    data = await run.use.objects.get(version.object_key)
    reader = run.use.reader
    try:
        extracted = await reader.extract(
            data, media_type=version.media_type or "", name=version.name
        )
        study = await reader.study(extracted.text)
    except Unreadable as cause:
        problem = UnreadableDocument(f"{version.name}: {cause.reason}")
        async with run.fail(problem) as db:
            await _change(db, version_id, _TO_EXTRACT, state="failed", error=problem.detail)
        return
    columns = text_columns(extracted, study, title=version.title, url=version.url)
    async with run.settle() as db:
        run.result = await _keep_text(db, run.job.owner_id, version_id, version, columns)


async def _keep_text(
    db: Db, owner_id: str | None, version_id: str, version: Any, columns: dict[str, Any]
) -> Stored:
    """The words of a version, and the job that makes them searchable unless they are already."""
    stored = Stored(version.document_id, version.number, len(columns["text"]))
    live = (
        sa.select(DocumentVersion.fingerprint)
        .join(Document, Document.live_version_id == DocumentVersion.id)
        .where(Document.id == version.document_id)
    )
    if await db.scalar(live) == columns["fingerprint"]:
        await _change(db, version_id, _TO_EXTRACT, state="unchanged")
        return stored
    # A withdrawn version (its document was deleted meanwhile) stays withdrawn.
    if not await _change(db, version_id, _TO_EXTRACT, state="extracted", **columns):
        return stored
    follow_up = await enqueue(db, owner_id, index_document, version_id=version_id)
    return msgspec.structs.replace(stored, follow_up=follow_up.id)


def text_columns(
    extracted: Extracted, study: Study, *, title: str, url: str | None
) -> dict[str, Any]:
    """The columns of a version that come from its words; `title` and `url` where they state none."""
    meta = extracted.meta
    title = (extracted.title or title)[:300]
    return {
        "text": extracted.text,
        "headings": msgspec.to_builtins(extracted.headings),
        "title": title,
        "url": extracted.url or url,
        "author": (extracted.author or "")[:300] or None,
        "language": extracted.language or study.language,
        "published_at": extracted.published_at,
        "topic": _short(meta.get("topic"), 40) or study.topic,
        "level": _short(meta.get("level"), 20) or study.level,
        "summary": meta.get("summary"),
        "sources": msgspec.to_builtins(meta.get("sources")),
        "reviewed_on": meta.get("reviewed"),
        "grade": study.grade,
        "key_terms": study.key_terms,
        "fingerprint": hashlib.sha256(f"{title}\n{extracted.text}".encode()).hexdigest(),
    }


def _short(word: str | None, longest: int) -> str | None:
    """A label is a word or two; what is longer is something else."""
    return word if word is not None and len(word) <= longest else None


@job("content.index_document", queue="embeddings", attempts=5, lease=60, unique="version_id")
async def index_document(run: Run[Indexing], version_id: str) -> None:
    """Cut a version into passages, embed them, and make the version the live one."""
    version = await _version(run, version_id)
    embedder, vectors = run.use.embedder, run.use.vectors
    rows = await cut(version, embedder)
    async with run.database.transaction() as db:
        collection = await ensure_serving_collection(db, embedder)

    async def progress(done: int, total: int) -> None:
        await run.progress("embedding", done, total)

    if collection is not None:
        await write_vectors([words_of(version, rows)], collection, embedder, vectors, progress)
    stored = Stored(version.document_id, version.number, len(version.text), len(rows))
    async with run.settle(stored) as db:
        for retired in await publish(db, embedder, collection, [(version, rows)]):
            await enqueue(db, None, remove_vectors, version_id=retired)
        await want_index(db, embedder)


@job("content.remove_vectors", queue="delivery", attempts=10, lease=60, priority=7)
async def remove_vectors(run: Run[Removing], version_id: str) -> None:
    """Take a version's passages out of the vector store. SQL stopped returning them already."""
    async with run.database.reading() as read:
        ids = (
            (
                await read.execute(
                    sa.select(PassageRow.id).where(PassageRow.version_id == version_id)
                )
            )
            .scalars()
            .all()
        )
        collections = (await read.execute(sa.select(VectorCollection.name))).scalars().all()
    for collection in collections:
        await run.use.vectors.delete(collection, ids)


async def _version(run: Run[Any], version_id: str) -> Any:
    async with run.database.reading() as read:
        return (
            await read.execute(
                sa.select(*DocumentVersion.__table__.columns).where(
                    DocumentVersion.id == version_id
                )
            )
        ).one()


async def _change(db: Db, version_id: str, expected: tuple[str, ...], **values: Any) -> bool:
    """Move a version on from a state it is expected in; False when it is in another."""
    result = await db.execute(
        sa.update(DocumentVersion)
        .where(DocumentVersion.id == version_id, DocumentVersion.state.in_(expected))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]
