"""/content: documents in and out, and the passages that answers cite."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.openapi.datastructures import ResponseSpec

from ai_investment.content import documents
from ai_investment.content.documents import DocumentView, Incoming, PassageView
from ai_investment.content.fetch import fetch_document
from ai_investment.content.objects import Objects
from ai_investment.content.search import search_content
from ai_investment.content.sources.addresses import check_url, normal_url
from ai_investment.content.sources.fetching import Refused
from ai_investment.db import Db, Read
from ai_investment.errors import Fault, Malformed
from ai_investment.http.idempotency import once
from ai_investment.identity.access import User
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.routes import Accepted, JobView

MAX_FILE = 25 * 1024 * 1024
# Room for the other fields of a form around the largest file.
_MAX_BODY = MAX_FILE + 64 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class NewDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A document sent as text, or as the `url` of a page to fetch when there is no `text`.

    Sending the same `key` again replaces it; without one, the words (or the URL) are the key.
    """

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=5_000_000)] | None = None
    title: Name | None = None
    key: Key | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "Uploaded"
    url: Annotated[str, msgspec.Meta(max_length=2000, pattern="^https?://")] | None = None


class Received(msgspec.Struct):
    """`job` is null when these very words were already there."""

    document_id: str
    job: JobView | None


@post("/content/documents", status_code=202, operation_id="AddDocument", tags=["Content"],
      summary="Add or replace a document: JSON with `text` or `url`, or a form with `file`", request_max_body_size=_MAX_BODY,
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
        if isinstance(incoming, WebPage):
            document = await documents.document_for(db, incoming.key, incoming.source)
            page = incoming.url, incoming.source, incoming.title
            job = await enqueue(db, user.id, fetch_document, document.id, *page)
            return answer.done(Accepted(request, job, document_id=document.id))
        document, extracting = await documents.receive(db, user.id, incoming)
        if extracting is None:
            return answer.done(Response(Received(document.id, None), status_code=200))
        return answer.done(Accepted(request, extracting, document_id=document.id))


class WebPage(msgspec.Struct, frozen=True):
    """A document that is still on the web."""

    key: str
    url: str
    source: str
    title: str | None


async def _from_json(request: Request[Any, Any, Any], objects: Objects) -> Incoming | WebPage:
    try:
        new = msgspec.json.decode(await request.body(), type=NewDocument)
    except msgspec.DecodeError as cause:
        raise Malformed(
            f"The body is not a document: {cause}", errors=[Fault("#", str(cause))]
        ) from cause
    if new.text is None:
        return _web_page(new, request.app.state.settings.private_hosts)
    if new.title is None:
        raise Malformed("The document has no title.", errors=[Fault("#/title", "needed")])
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


def _web_page(new: NewDocument, private_hosts: frozenset[str]) -> WebPage:
    if new.url is None:
        raise Malformed("The document has no text.", errors=[Fault("#/text", "text or url needed")])
    try:
        check_url(new.url, private_hosts)
    except Refused as cause:
        raise Malformed(cause.detail, errors=[Fault("#/url", cause.detail)]) from cause
    key = new.key or f"url:{normal_url(new.url)}"[:500]
    source = new.source if new.source != "Uploaded" else urlsplit(new.url).hostname or "Web"
    return WebPage(key, new.url, source, new.title)


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


routes = [search_content, add_document, get_document, delete_document, get_passage]
