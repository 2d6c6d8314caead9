"""/openapi.json and /docs: the reference, with assets from a wheel and none from the network."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.openapi.spec import Components, SecurityScheme

from ai_investment.errors import NotFound

DESCRIPTION = """Answers beginners' money questions with cited passages.

Slow work answers `202` with a job: poll `GET /jobs/{id}?wait=20`, stream `GET /jobs/{id}/events`,
or send `Prefer: wait=20` with the request. Errors are RFC 9457 problems.
Send an API key in `X-API-Key`; on the computer that runs the embedded mode none is needed."""

COMPONENTS = Components(
    security_schemes={
        "ApiKey": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
    }
)

_TYPES = {"js": "text/javascript", "css": "text/css", "png": "image/png"}
_ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>API reference</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="/docs/assets/favicon-32x32.png">
<div id="reference"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></html>"""
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#reference", deepLinking: true});'


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    return Response(_document(request.app), media_type="application/json")


@cache
def _document(app: Litestar) -> bytes:
    return msgspec.json.encode(app.openapi_schema.to_schema())


@get("/docs", include_in_schema=False, media_type="text/html", sync_to_thread=False)
def reference() -> str:
    return _PAGE


@get("/docs/start.js", include_in_schema=False, sync_to_thread=False)
def start() -> Response[str]:
    return Response(_START, media_type="text/javascript")


@get("/docs/assets/{name:str}", include_in_schema=False, sync_to_thread=True)
def asset(name: str) -> Response[bytes]:
    if name not in _ASSETS:
        raise NotFound("There is no such asset.")
    [folder] = [
        item for item in files("swagger_ui_bundle").joinpath("vendor").iterdir() if item.is_dir()
    ]
    return Response(
        folder.joinpath(name).read_bytes(),
        media_type=_TYPES[name.rsplit(".", 1)[-1]],
        headers={"Cache-Control": "public, max-age=86400"},
    )


routes = [openapi_json, reference, start, asset]
