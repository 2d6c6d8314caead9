"""The page at /: ask, watch the job, read the cited answer. Plain files, no build step, no remote asset."""

from __future__ import annotations

from importlib.resources import files

from litestar import Response, get

from ai_investment.errors import NotFound

_TYPES = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "index.html": "text/html; charset=utf-8",
}


@get("/", include_in_schema=False, sync_to_thread=True)
def index() -> Response[bytes]:
    return _file("index.html")


@get("/static/{name:str}", include_in_schema=False, sync_to_thread=True)
def static(name: str) -> Response[bytes]:
    if name not in _TYPES:
        raise NotFound("There is no such file.")
    return _file(name)


def _file(name: str) -> Response[bytes]:
    data = files("ai_investment.operations").joinpath("static", name).read_bytes()
    return Response(data, media_type=_TYPES[name], headers={"Cache-Control": "no-cache"})


routes = [index, static]
