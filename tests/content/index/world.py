"""A library that changes, the workers that keep its indexes, and those who ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ai_investment.content import documents
from ai_investment.content.dense import DenseUnavailable, LocalDense
from ai_investment.content.jobs import index_document
from ai_investment.content.lexical import Follower
from ai_investment.content.models import Document, DocumentVersion, PassageRow, VectorCollection
from ai_investment.content.query import Question
from ai_investment.content.ranking import rank
from ai_investment.content.reindex import rebuild_index
from ai_investment.content.revisions import passage_words
from ai_investment.content.vectors import Vectors
from ai_investment.db import Database, db_now
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import IS_LIVE, IS_RUNNING, Job
from ai_investment.jobs.sweep import take_back_expired
from tests.content.index.process import Process

_LONG_AGO = timedelta(hours=2)


class World:
    def __init__(
        self, database: Database, processes: list[Process], lexical: Follower, store: Vectors
    ) -> None:
        self.database = database
        self.store = store
        self.processes = processes
        self.lexical = lexical
        self.in_use = [processes[0]]
        """Those of `processes` that run now; each has a model of its own."""
        self.texts: dict[str, str | None] = {}
        """What was sent last of each document; None: it was deleted."""
        self._versions = 0
        self._withdrawn: set[str] = set()
        self._newest_live: dict[str, int] = {}

    # What people do

    async def send(self, document_id: str, text: str) -> None:
        """A document, or a new version of it, as extraction leaves it."""
        self._versions += 1
        version_id = f"ver_{self._versions}"
        self.texts[document_id] = text
        async with self.database.transaction() as db:
            if document := await db.get(Document, document_id):
                document.deleted_at = None
            else:
                common: dict[str, Any] = {"created_at": db_now(), "updated_at": db_now()}
                db.add(Document(id=document_id, key=document_id, source="", **common))
                await db.flush()
            db.add(
                DocumentVersion(
                    id=version_id, document_id=document_id, number=self._versions, state="extracted",
                    name="", object_key="", title=document_id, text=text, headings=[],
                    created_at=db_now(),
                )
            )  # fmt: skip
            await db.flush()
            await enqueue(db, None, index_document, version_id=version_id)

    async def delete(self, document_id: str) -> None:
        self.texts[document_id] = None
        async with self.database.transaction() as db:
            await documents.delete(db, document_id)
        async with self.database.reading() as read:
            query = sa.select(DocumentVersion.id).where(DocumentVersion.document_id == document_id)
            self._withdrawn |= set(await read.scalars(query))

    async def want_rebuild(self, process: Process) -> None:
        async with self.database.transaction() as db:
            await enqueue(db, "operator", rebuild_index, model=process.model)

    # What time does

    async def time_passes(self) -> None:
        """Leases of the dead run out, what waits is due, nobody asks a retired collection any more."""
        async with self.database.transaction() as db:
            await db.execute(sa.update(Job).where(IS_RUNNING).values(lease_until=db_now(-1)))
            await db.execute(sa.update(Job).where(IS_LIVE).values(attempt=0, crashes=0))
            old = {"retired_at": db_now(-3600)}
            retired = VectorCollection.retired_at.is_not(None)
            await db.execute(sa.update(VectorCollection).where(retired).values(**old))
        await take_back_expired(self.database)
        async with self.database.transaction() as db:
            await db.execute(sa.update(Job).where(IS_LIVE).values(run_at=db_now(-1)))

    async def an_hour_passes(self) -> None:
        """For what only a worker with a model that is not in use could do."""
        long_ago = datetime.now(UTC) - _LONG_AGO
        models = [process.model for process in self.in_use]
        async with self.database.transaction() as db:
            others = Job.args["model"].as_string().not_in(models)
            await db.execute(sa.update(Job).where(IS_LIVE, others).values(created_at=long_ago))
            unused = VectorCollection.model.not_in(models)
            await db.execute(sa.update(VectorCollection).where(unused).values(kept_at=long_ago))

    async def comes_to_rest(self) -> None:
        """Whatever waits is done by workers that live."""
        for process in self.in_use:
            await process.start()
        for turn in range(60):
            await self.time_passes()
            await self.an_hour_passes()
            # In turns, for a worker leaves to others what needs their model.
            first = turn % len(self.in_use)
            worked = [
                await process.work_off() for process in self.in_use[first:] + self.in_use[:first]
            ]
            if not any([*worked, await self.in_use[0].work_off("delivery")]):
                return
        raise AssertionError("there is always something to do")

    # What those who ask see

    async def live_passages(self) -> list[Any]:
        query = (
            sa.select(
                PassageRow.id, PassageRow.text, PassageRow.heading, DocumentVersion.title,
                DocumentVersion.text.label("whole"), DocumentVersion.document_id,
            )
            .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
            .join(Document, Document.live_version_id == DocumentVersion.id)
        )  # fmt: skip
        async with self.database.reading() as read:
            return list((await read.execute(query)).all())

    async def asked(self, process: Process, passage: Any) -> bool:
        """Ask for a live passage by its own words, with a model; whether its vectors were of use."""
        question = Question(passage_words(passage.title, passage.heading, passage.text))
        dense = LocalDense(self.database, process.embedder, self.store)
        ranking = await rank(self.database, dense, self.lexical, question)
        found = [item.passage_id for item in ranking.passages]
        assert passage.id in found, "a live passage does not find itself"
        await self._all_may_be_read(found)
        try:
            hits = await dense.nearest(question, 200)
        except DenseUnavailable:
            return False
        assert passage.id in [hit.passage_id for hit in hits], "its vector is missing"
        return True

    async def _all_may_be_read(self, passages: list[str]) -> None:
        query = (
            sa.select(DocumentVersion.id, DocumentVersion.document_id, DocumentVersion.number)
            .join(PassageRow, PassageRow.version_id == DocumentVersion.id)
            .where(PassageRow.id.in_(passages))
        )
        async with self.database.reading() as read:
            for row in (await read.execute(query)).all():
                assert row.id not in self._withdrawn, "a deleted document is found"
                assert row.number >= self._newest_live.get(row.document_id, 0), "an old version"
                self._newest_live[row.document_id] = row.number
