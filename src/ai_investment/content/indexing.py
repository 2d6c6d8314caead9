"""Making a version searchable: cut it, embed it, make it the live one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import sqlalchemy as sa

from ai_investment.content.extraction import Heading
from ai_investment.content.models import Document, DocumentVersion, PassageRow, VectorCollection
from ai_investment.content.revisions import (
    Change,
    LivePassage,
    lead_words,
    next_revision,
    passage_words,
)
from ai_investment.content.vectors import Embedder, Vectors, serving_collection
from ai_investment.db import Db, db_now
from ai_investment.jobs.errors import Later

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ai_investment.content.chunking import Span

# Small, so that the store writes one batch while the next one is embedded; a write costs the store as much as
# forty of its vectors.
_EMBED_BATCH = 32
Progress = Callable[[int, int], Awaitable[None]]


class Indexing(Protocol):
    """What the embeddings worker provides."""

    embedder: Embedder
    vectors: Vectors


class CollectionChanged(Later):
    """Another collection serves since the vectors were written: write them there."""

    def __init__(self) -> None:
        super().__init__(0.5)


async def cut(version: Any, embedder: Embedder) -> list[dict[str, Any]]:
    """The rows of a version's passages. Their ids come from version and offsets: cutting twice gives the same."""
    # Here, because the API imports this module too and cuts nothing.
    from ai_investment.content.chunking import chunk

    spans = await asyncio.to_thread(
        chunk,
        version.text,
        msgspec.convert(version.headings or [], list[Heading]),
        count_tokens=embedder.count_tokens,
    )
    return [_row(version, position, span) for position, span in enumerate(spans)]


def _row(version: Any, position: int, span: Span) -> dict[str, Any]:
    digest = hashlib.sha256(f"{version.id}:{span.start}:{span.end}".encode()).hexdigest()[:32]
    return {
        "id": f"pas_{digest}",
        "version_id": version.id,
        "position": position,
        "start": span.start,
        "end": span.end,
        "heading": span.heading,
        "text": version.text[span.start : span.end],
    }


class Words(msgspec.Struct, frozen=True):
    """What is embedded of a document: how it begins, and its passages."""

    lead: str
    passages: list[LivePassage]


def words_of(version: Any, rows: Sequence[dict[str, Any]]) -> Words:
    return Words(
        lead_words(version.title, version.text),
        [
            LivePassage(row["id"], passage_words(version.title, row["heading"], row["text"]))
            for row in rows
        ],
    )


async def write_vectors(
    documents: Sequence[Words | Change],
    collection: str,
    embedder: Embedder,
    vectors: Vectors,
    progress: Progress | None = None,
) -> None:
    """Embed the passages of documents into a collection; doing it twice changes nothing."""
    todo = [pair for document in documents for pair in with_lead(document)]
    leads: dict[str, NDArray[np.float32]] = {}
    writing: asyncio.Task[None] | None = None
    try:
        for start in range(0, len(todo), _EMBED_BATCH):
            if progress:
                await progress(start, len(todo))
            batch = todo[start : start + _EMBED_BATCH]
            embedded = await asyncio.to_thread(embed_passages, embedder, batch, leads)
            if writing:
                await writing
            ids = [passage.id for _, passage in batch]
            writing = asyncio.create_task(vectors.upsert(collection, ids, embedded))
        if writing:
            await writing
    finally:
        if writing and not writing.done():
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


def with_lead(document: Words | Change) -> list[tuple[str, LivePassage]]:
    """A document's passages, each with the beginning of the document; a single one is that itself."""
    lead = document.lead if len(document.passages) > 1 else ""
    return [(lead, passage) for passage in document.passages]


def embed_passages(
    embedder: Embedder,
    batch: Sequence[tuple[str, LivePassage]],
    known: dict[str, NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """One vector a passage: half its own, half its document's beginning, which tells what it is about.

    Its product with a question's vector is the mean of the two cosines (docs/evaluation.md).
    `known`: vectors of beginnings, to which those of this batch are added.
    """
    of_lead = {} if known is None else known
    leads = [
        lead for lead in dict.fromkeys(lead for lead, _ in batch if lead) if lead not in of_lead
    ]
    embedded = embedder.embed([*(passage.words for _, passage in batch), *leads])
    vectors = embedded[: len(batch)]
    of_lead.update(zip(leads, embedded[len(batch) :], strict=True))
    for row, (lead, _) in enumerate(batch):
        if lead:
            vectors[row] = (vectors[row] + of_lead[lead]) / 2
    return vectors


async def publish(
    db: Db,
    embedder: Embedder,
    collection: str | None,
    cuts: Sequence[tuple[Any, list[dict[str, Any]]]],
) -> list[str]:
    """Make these versions live, in one transaction with what is read of them from then on.

    A version that was withdrawn, or that a newer one has overtaken, stays out. Returns the ids of the
    versions that are not live (any more), whose vectors may go. Raises CollectionChanged when `collection`,
    which holds the vectors (None: no collection does, they come with the index that is built), does not
    serve any more.
    """
    retired: list[str] = []
    live: list[tuple[Document, Any]] = []
    for version, rows in cuts:
        # The document first, as `delete` does: two lock orders would deadlock.
        document = await _locked(db, version.document_id)
        if rows:
            await db.execute(sa.delete(PassageRow).where(PassageRow.version_id == version.id))
            await db.execute(sa.insert(PassageRow), rows)
        if document.live_version_id == version.id:
            continue
        if not await _indexed(db, version.id) or await _overtaken(db, document, version):
            retired.append(version.id)
            continue
        if document.live_version_id:
            retired.append(document.live_version_id)
        live.append((document, version))
    if live:
        revision = await next_revision(db)
        if await serving_collection(db, embedder) != collection:
            raise CollectionChanged
        for document, version in live:
            document.live_version_id = version.id
            document.revision = revision
            document.updated_at = db_now()
        if collection is not None:
            await mark_seen(db, revision, VectorCollection.name == collection)
    return retired


async def mark_seen(db: Db, revision: int, which: sa.ColumnElement[bool]) -> None:
    """Say that a revision is in these serving collections, each if all before it are."""
    serving = sa.and_(VectorCollection.serving, VectorCollection.seen_revision == revision - 1)
    await db.execute(
        sa.update(VectorCollection)
        .where(which, serving)
        .values(seen_revision=revision, seen_document="")
        .execution_options(synchronize_session=False)
    )


async def _locked(db: Db, document_id: str) -> Document:
    return (
        await db.scalars(
            sa.select(Document)
            .where(Document.id == document_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()


async def _indexed(db: Db, version_id: str) -> bool:
    """Move the version on; False when it was withdrawn meanwhile."""
    moved = await db.execute(
        sa.update(DocumentVersion)
        .where(DocumentVersion.id == version_id, DocumentVersion.state == "extracted")
        .values(state="indexed")
        .execution_options(synchronize_session=False)
    )
    return bool(moved.rowcount)  # type: ignore[attr-defined]


async def _overtaken(db: Db, document: Document, version: Any) -> bool:
    if document.live_version_id is None:
        return False
    live = await db.get(DocumentVersion, document.live_version_id)
    return live is not None and live.number > version.number
