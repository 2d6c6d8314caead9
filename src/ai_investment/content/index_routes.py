"""/admin/index: the collections of vectors, and building one anew. For operators."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from litestar import Request, get, post

from ai_investment.content.generations import CollectionView, collections
from ai_investment.content.models import VectorCollection
from ai_investment.content.reindex import rebuild_index
from ai_investment.db import Db, Read
from ai_investment.errors import Problem
from ai_investment.http.idempotency import once
from ai_investment.identity.access import User
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.routes import Accepted


class WhichModel(Problem):
    """There is no index to build anew, or more than one."""

    status, title = 409, "Which index to build"


class Rebuild(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`model` as `GET /admin/index` names it; needed only while two are in use."""

    model: str | None = None


@get("/admin/index", operation_id="ShowIndex", tags=["Operations"],
     summary="The collections of vectors: which one serves, and how far behind each is")  # fmt: skip
async def show_index(read: Read, user: User) -> list[CollectionView]:
    user.need_admin()
    return await collections(read)


@post("/admin/index/rebuild", status_code=202, operation_id="RebuildIndex", tags=["Operations"],
      summary="Build the next generation of the index beside the serving one")  # fmt: skip
async def rebuild(
    request: Request[Any, Any, Any], db: Db, user: User, data: Rebuild | None = None
) -> Accepted:
    user.need_admin()
    async with once(request, db, user.id) as answer:
        model = await _model(db, data.model if data else None)
        job = await enqueue(db, user.id, rebuild_index, model=model)
        return answer.done(Accepted(request, job))


async def _model(db: Db, wanted: str | None) -> str:
    """The model to build with; raises WhichModel."""
    query = sa.select(VectorCollection.model).where(VectorCollection.retired_at.is_(None))
    known = (await db.scalars(query.distinct().order_by(VectorCollection.model))).all()
    if wanted is not None and wanted in known:
        return wanted
    if wanted is None and len(known) == 1:
        return known[0]
    if not known:
        raise WhichModel("There is no index yet: it begins with the first document.")
    unknown = f"There is no model {wanted[:100]!r}. " if wanted else ""
    raise WhichModel(f"{unknown}Name one of the models in use: {', '.join(known)}.")


routes = [show_index, rebuild]
