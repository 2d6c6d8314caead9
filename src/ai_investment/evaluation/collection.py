"""A collection taken in by the production path: documents, versions, passages, vectors, words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ai_investment.content.extraction import tidy
from ai_investment.content.indexing import cut, publish, words_of, write_vectors
from ai_investment.content.models import Document, DocumentVersion
from ai_investment.content.vectors import ensure_serving_collection
from ai_investment.db import db_now
from ai_investment.evaluation.beir import BeirDocument
from ai_investment.evaluation.stores import Stores

_BATCH = 64


async def load(
    stores: Stores, documents: Iterable[BeirDocument], done: Callable[[int], None]
) -> dict[str, str]:
    """Make documents searchable; returns the id they came with by our document id.

    An id that comes twice is one document, the later one. `done` is told how many more are ready.
    """
    given = {document.id: document for document in documents}
    ours: dict[str, str] = {}
    numbered = enumerate(given.values())
    while batch := list(islice(numbered, _BATCH)):
        ids = {f"doc_{number:08}": document for number, document in batch}
        ours.update((key, document.id) for key, document in ids.items())
        keys = {key: document.key for key, document in ids.items() if document.key}
        versions = await _received(stores, list(_rows(ids)), keys)
        await _index(stores, versions)
        done(len(batch))
    return ours


def _rows(documents: dict[str, BeirDocument]) -> Iterator[dict[str, Any]]:
    for key, document in documents.items():
        title, text = tidy(document.title or "")[:300], document.text or ""
        if not document.headings:  # their places are those of the text as it is
            text = tidy(text)
        if text or title:
            yield {
                "document_id": key,
                "title": title if text else "",
                "text": text or title,
                "headings": document.headings,
            }


async def _received(
    stores: Stores, rows: Sequence[dict[str, Any]], keys: dict[str, str]
) -> Sequence[sa.Row[tuple[DocumentVersion]]]:
    """The versions as extraction leaves them."""
    if not rows:
        return []
    ids = [f"ver_{row['document_id'][4:]}" for row in rows]
    async with stores.database.transaction() as db:
        await db.execute(
            sa.insert(Document).values(source="", created_at=db_now(), updated_at=db_now()),
            [
                {"id": row["document_id"], "key": keys.get(row["document_id"], row["document_id"])}
                for row in rows
            ],
        )
        await db.execute(
            sa.insert(DocumentVersion).values(
                number=1, state="extracted", name="", object_key="", created_at=db_now()
            ),
            [{"id": key, **row} for key, row in zip(ids, rows, strict=True)],
        )
    columns = DocumentVersion.__table__.columns
    async with stores.database.reading() as read:
        found = await read.execute(sa.select(*columns).where(DocumentVersion.id.in_(ids)))
        return found.all()


async def _index(stores: Stores, versions: Sequence[sa.Row[tuple[DocumentVersion]]]) -> None:
    cuts = [(version, await cut(version, stores.embedder)) for version in versions]
    async with stores.database.transaction() as db:
        collection = await ensure_serving_collection(db, stores.embedder)
    assert collection is not None  # these stores were empty
    words = [words_of(version, rows) for version, rows in cuts]
    await write_vectors(words, collection, stores.embedder, stores.vectors)
    async with stores.database.transaction() as db:
        await publish(db, stores.embedder, collection, cuts)
