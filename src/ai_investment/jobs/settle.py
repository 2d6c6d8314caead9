"""Settling jobs that have no effects of their own: those that end at about the same time, in one statement."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import sqlalchemy as sa

from ai_investment.db import Database, outbox
from ai_investment.jobs.claim import Claimed
from ai_investment.jobs.enqueue import Changed
from ai_investment.jobs.errors import LeaseLost

# One parameter, a JSON list of {id, fence, result}: the statement is the same for any number of jobs.
_SUCCEED = {
    "postgresql": """
        UPDATE jobs SET state = 'succeeded', lease_until = NULL, finished_at = clock_timestamp(),
               result = NULLIF(ended.result, 'null'::jsonb), error = NULL, version = version + 1
        FROM jsonb_to_recordset(CAST(:ended AS jsonb)) AS ended(id text, fence int, result jsonb)
        WHERE jobs.id = ended.id AND jobs.fence = ended.fence AND jobs.state = 'running'
        RETURNING jobs.id""",
    "sqlite": """
        UPDATE jobs SET state = 'succeeded', lease_until = NULL,
               finished_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000',
               result = json_extract(ended.value, '$.result'), error = NULL, version = version + 1
        FROM json_each(:ended) AS ended
        WHERE jobs.id = json_extract(ended.value, '$.id')
              AND jobs.fence = json_extract(ended.value, '$.fence') AND jobs.state = 'running'
        RETURNING jobs.id""",
}


class Settler:
    """Collects ends while the statement before is under way; each caller waits for its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statement = sa.text(_SUCCEED[database.engine.dialect.name])
        self._waiting: list[tuple[Claimed, Any, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def succeed(self, claimed: Claimed, result: Any) -> None:
        """The job's end is committed when this returns; raises LeaseLost when another claim holds it."""
        ended = asyncio.get_running_loop().create_future()
        self._waiting.append((claimed, msgspec.to_builtins(result), ended))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await ended

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                written = await self._commit(batch)
            except Exception as cause:
                if len(batch) == 1:
                    _tell(batch[0][2], cause)
                    continue
                # One result that the database refuses must not take the others with it.
                for alone in batch:
                    await self._write_alone(alone)
                continue
            for claimed, _, ended in batch:
                _tell(ended, None if claimed.id in written else LeaseLost(claimed.id))

    async def _write_alone(self, end: tuple[Claimed, Any, asyncio.Future[None]]) -> None:
        claimed, _, ended = end
        try:
            written = await self._commit([end])
        except Exception as cause:
            _tell(ended, cause)
        else:
            _tell(ended, None if written else LeaseLost(claimed.id))

    async def _commit(self, batch: list[tuple[Claimed, Any, asyncio.Future[None]]]) -> set[str]:
        ended = [
            {"id": claimed.id, "fence": claimed.fence, "result": result}
            for claimed, result, _ in batch
        ]
        async with self._database.transaction() as db:
            rows = await db.execute(self._statement, {"ended": msgspec.json.encode(ended).decode()})
            written = {row.id for row in rows}
            outbox(db).extend(Changed(job_id) for job_id in written)
        return written


def _tell(ended: asyncio.Future[None], cause: Exception | None) -> None:
    if ended.done():  # its job was cancelled meanwhile
        return
    if cause is None:
        ended.set_result(None)
    else:
        ended.set_exception(cause)
