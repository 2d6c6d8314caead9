"""/content: documents in and out, and the passages that answers cite."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.openapi.datastructures import ResponseSpec

from ai_investment.content import documents
from ai_investment.content.documents import DocumentView, Incoming, PassageView
from ai_investment.content.objects import Objects
from ai_investment.db import Db, Read
from ai_investment.errors import Fault, Malformed
from ai_investment.http.idempotency import once
from ai_investment.identity.access import User
from ai_investment.jobs.routes import Accepted, JobView

MAX_FILE = 25 * 1024 * 1024
# Room for the other fields of a form around the largest file.
_MAX_BODY = MAX_FILE + 64 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class NewDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A document sent as text. Sending the same `key` again replaces it; without one it is a new document."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=5_000_000)]
    title: Name
    key: Key | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "Uploaded"
    url: Annotated[str, msgspec.Meta(max_length=2000, pattern="^https?://")] | None = None


class Received(msgspec.Struct):
    """`job` is null when these very words were already there."""

    document_id: str
    job: JobView | None


@post("/content/documents", status_code=202, operation_id="AddDocument", tags=["Content"],
      summary="Add or replace a document: JSON text, or a form with `file`", request_max_body_size=_MAX_BODY,
      responses={200: ResponseSpec(Received, description="Already there, word for word.")})  # fmt: skip
async def add_document(
    request: Request[Any, Any, Any], db: Db, objects: Objects, user: User
) -> Response[Received]:
    user.need_admin()
    form = request.content_type[0] == "multipart/form-data"
    incoming = await (_from_form if form else _from_json)(request, objects)
    # A form is encoded differently each time it is sent: compared is what it says.
    said = msgspec.json.encode(incoming)
    async with once(request, db, user.id, body=said) as answer:
        document, job = await documents.receive(db, user.id, incoming)
        if job is None:
            return answer.done(Response(Received(document.id, None), status_code=200))
        return answer.done(Accepted(request, job, document_id=document.id))


async def _from_json(request: Request[Any, Any, Any], objects: Objects) -> Incoming:
    try:
        new = msgspec.json.decode(await request.body(), type=NewDocument)
    except msgspec.DecodeError as cause:
        raise Malformed(
            f"The body is not a document: {cause}", errors=[Fault("#", str(cause))]
        ) from cause
    data = new.text.encode()
    object_key = await objects.put(data)
    return Incoming(
        key=new.key or f"text:{object_key}",
        name=new.title,
        media_type="text/markdown",
        object_key=object_key,
        source=new.source,
        title=new.title,
        url=new.url,
    )


async def _from_form(request: Request[Any, Any, Any], objects: Objects) -> Incoming:
    form = await request.form()
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Malformed("The form has no file.", errors=[Fault("#/file", "a file is needed")])
    data = await file.read()
    if not data:
        raise Malformed("The file is empty.", errors=[Fault("#/file", "0 bytes")])
    if len(data) > MAX_FILE:
        raise Malformed(
            "The file is too large.", errors=[Fault("#/file", f"over {MAX_FILE} bytes")]
        )
    object_key = await objects.put(data)
    name = (file.filename or "file")[:300]
    return Incoming(
        key=_field(form, "key", f"file:{object_key}", 500),
        name=name,
        media_type=(file.content_type or "")[:100] or None,
        object_key=object_key,
        source=_field(form, "source", "Uploaded", 200),
        title=_field(form, "title", "", 300) or None,
    )


def _field(form: Any, name: str, default: str, longest: int) -> str:
    value = form.get(name) or default
    if not isinstance(value, str) or len(value) > longest:
        raise Malformed(
            f"{name} is not a text of at most {longest} characters.",
            errors=[Fault(f"#/{name}", "")],
        )
    return value


@get(
    "/content/{document_id:str}",
    operation_id="GetDocument",
    tags=["Content"],
    summary="A document and related ones",
)
async def get_document(read: Read, user: User, document_id: str) -> DocumentView:
    return await documents.show(read, document_id)


@delete("/content/documents/{document_id:str}", operation_id="DeleteDocument", tags=["Content"],
        summary="Withdraw a document; from this answer on nothing returns it")  # fmt: skip
async def delete_document(db: Db, user: User, document_id: str) -> None:
    user.need_admin()
    await documents.delete(db, document_id)


@get("/content/passages/{passage_id:str}", operation_id="GetPassage", tags=["Content"],
     summary="A cited passage in its context")  # fmt: skip
async def get_passage(read: Read, user: User, passage_id: str) -> PassageView:
    return await documents.show_passage(read, passage_id)


routes = [add_document, get_document, delete_document, get_passage]
