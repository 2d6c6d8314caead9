"""What the tests of sources share."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import sqlalchemy as sa

from ai_investment.content.models import Document, DocumentVersion
from ai_investment.content.sources.models import SourceItem
from ai_investment.db import async_url
from tests.installation import finished
from tests.services import wait_until


def added(admin: httpx.Client, name: str, kind: str, url: str, **more: Any) -> dict[str, Any]:
    """A source that runs only when it is asked to."""
    body = {"publisher": "Test", "licence": "ours", "schedule": "0 0 1 1 *", **more}
    response = admin.post(
        "/api/v1/content/sources", json={"name": name, "kind": kind, "url": url, **body}
    )
    assert response.status_code in (200, 201), response.text
    source: dict[str, Any] = response.json()
    # Its first run is due at once: no scheduler of another test may take it.
    admin.patch(f"/api/v1/content/sources/{source['id']}", json={"state": "paused"})
    return source


def synced(admin: httpx.Client, source: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Run a source to its end, wait until its documents are searchable, and return the newest run."""
    path = f"/api/v1/content/sources/{source['id']}"
    response = admin.post(f"{path}/sync", json=body)
    assert response.status_code == 202, response.text
    job = finished(admin, response.json()["job"], polls=3)
    assert "crashed" not in (job["error"] or {}).get("type", ""), job["error"]
    wait_until(lambda: not indexing(admin), "all documents being indexed", 90)
    run: dict[str, Any] = admin.get(f"{path}/runs").json()["items"][0]
    return run


def counted(run: dict[str, Any]) -> dict[str, int]:
    """The counts of a run that are not 0."""
    assert run["counts"] is not None, run
    return {name: number for name, number in run["counts"].items() if number}


def indexing(admin: httpx.Client) -> list[Any]:
    wanted = {"kind": "content.index_document"}
    return [
        job
        for state in ("queued", "running")
        for job in admin.get("/api/v1/admin/jobs", params={**wanted, "state": state}).json()[
            "items"
        ]
    ]


def library(url: str, source_id: str) -> dict[str, str]:
    """The live documents of a source: key to title and words, as a hash."""
    rows = _rows(
        url,
        sa.select(Document.key, DocumentVersion.title, DocumentVersion.text)
        .join(DocumentVersion, DocumentVersion.id == Document.live_version_id)
        .where(Document.source_id == source_id, Document.deleted_at.is_(None)),
    )
    return {
        row.key: hashlib.sha256(f"{row.title}\n{row.text}".encode()).hexdigest() for row in rows
    }


def versions(url: str) -> int:
    """How many versions were ever embedded."""
    [row] = _rows(url, sa.select(sa.func.count()).select_from(DocumentVersion))
    return int(row[0])


def items(url: str, source_id: str) -> dict[str, Any]:
    """The items of a source by URL."""
    table: Any = SourceItem.__table__
    rows = _rows(url, sa.select(table).where(table.c.source_id == source_id))
    return {row.url: row for row in rows}


def _rows(url: str, query: Any) -> list[Any]:
    parsed = async_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed.set(drivername="sqlite"))
        with engine.connect() as connection:
            rows = list(connection.execute(query))
        engine.dispose()
        return rows
    import asyncio

    from ai_investment.db import Database

    async def go() -> list[Any]:
        database = Database(url)
        async with database.reading() as read:
            found = list(await read.execute(query))
        await database.dispose()
        return found

    return asyncio.run(go())
