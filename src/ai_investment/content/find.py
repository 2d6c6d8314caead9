"""Finding passages: neighbours from the vector store, truth from SQL."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.content.vectors import Embedder, Vectors, serving_collection
from ai_investment.db import Database

# Replaced and deleted passages may still be in the index: ask for more than are needed.
_OVERFETCH = 4


class Passage(msgspec.Struct, frozen=True):
    """A live passage. `score` is the cosine between the question and the passage (-1 to 1)."""

    id: str
    document_id: str
    title: str
    url: str | None
    source: str
    published_at: datetime | None
    heading: str | None
    text: str
    score: float
    position: int = 0
    """Its place among the passages of its document."""


async def find_passages(
    database: Database, embedder: Embedder, vectors: Vectors, question: str, *, limit: int = 8
) -> list[Passage]:
    """The passages nearest in meaning, best first; only those of live versions of documents that exist."""
    async with database.reading() as read:
        collection = await serving_collection(read, embedder)
    if collection is None:
        return []
    [vector] = await asyncio.to_thread(embedder.embed, [question])
    hits = await vectors.query(collection, vector, limit * _OVERFETCH)
    score = {hit.passage_id: hit.score for hit in hits}
    async with database.reading() as read:
        rows = (
            await read.execute(
                sa.select(
                    PassageRow.id, DocumentVersion.document_id, DocumentVersion.title, DocumentVersion.url,
                    Document.source, DocumentVersion.published_at, PassageRow.heading, PassageRow.text,
                    PassageRow.position,
                )
                .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
                .join(Document, Document.live_version_id == DocumentVersion.id)
                .where(PassageRow.id.in_(list(score)), Document.deleted_at.is_(None))
            )
        ).all()  # fmt: skip
    passages = [Passage(*row[:-1], score[row.id], row.position) for row in rows]
    return sorted(passages, key=lambda passage: -passage.score)[:limit]
