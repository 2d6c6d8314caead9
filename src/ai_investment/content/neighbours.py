"""The passages beside those that were found, so that a list cut between two can be read whole."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from ai_investment.content.find import Passage
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.db import Database

_OF = 6


async def with_neighbours(database: Database, passages: Sequence[Passage]) -> list[Passage]:
    """`passages`, then the live ones right before and after the first six under the same heading.

    The score of what was added is 0.
    """
    found, beside = aliased(PassageRow), aliased(PassageRow)
    query = (
        sa.select(
            beside.id, DocumentVersion.document_id, DocumentVersion.title, DocumentVersion.url,
            Document.source, DocumentVersion.published_at, beside.heading, beside.text,
            sa.literal(0.0), beside.position, DocumentVersion.number,
        )
        .join(found, sa.and_(
            found.version_id == beside.version_id,
            sa.func.abs(found.position - beside.position) == 1,
            found.heading.is_not_distinct_from(beside.heading),
        ))
        .join(DocumentVersion, DocumentVersion.id == beside.version_id)
        .join(Document, Document.live_version_id == DocumentVersion.id)
        .where(
            found.id.in_([passage.id for passage in passages[:_OF]]), Document.deleted_at.is_(None)
        )
    )  # fmt: skip
    known = {passage.id for passage in passages}
    async with database.reading() as read:
        rows = {row.id: row for row in await read.execute(query)} if passages else {}
    return [*passages, *(Passage(*tuple(row)) for row in rows.values() if row.id not in known)]
