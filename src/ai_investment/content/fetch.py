"""Documents that are sent as a URL: a job fetches the page and takes it in like an upload."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from ai_investment.content.documents import Incoming, UnknownDocument, receive
from ai_investment.content.jobs import Stored
from ai_investment.content.models import Document
from ai_investment.content.objects import Objects
from ai_investment.content.sources.fetching import Busy, Fetcher, TryLater
from ai_investment.jobs.declare import job
from ai_investment.jobs.errors import Later
from ai_investment.jobs.run import Run


class Fetching(Protocol):
    """What the pipeline worker provides."""

    fetch: Fetcher
    objects: Objects


class _Again(Exception):
    """Not a verdict yet: the engine's next attempt may find the site well again."""


@job("content.fetch_document", queue="pipeline", attempts=4, lease=120, unique="document_id")
async def fetch_document(
    run: Run[Fetching], document_id: str, url: str, source: str, title: str | None = None
) -> None:
    """Fetch a page and take it in as the newest version of its document."""
    await run.progress("fetching")
    try:
        page = await run.use.fetch(url)
    except Busy as cause:
        raise Later(cause.seconds) from cause
    except TryLater as cause:
        if run.job.attempt < run.job.max_attempts:
            raise _Again from cause
        raise
    object_key = await run.use.objects.put(page.body)
    async with run.settle() as db:
        key = await db.scalar(sa.select(Document.key).where(Document.id == document_id))
        if key is None:
            raise UnknownDocument(f"There is no document {document_id!r}.")
        incoming = Incoming(
            key=key,
            name=page.url[:300],
            media_type=page.media_type,
            object_key=object_key,
            source=source,
            title=title,
            url=page.url,
        )
        document, follow_up = await receive(db, run.job.owner_id, incoming)
        run.result = Stored(document.id, follow_up=follow_up.id if follow_up else None)
