"""A web site on this computer, whose pages are values or functions; it remembers what it was asked.

with Site({"/a": "<p>A page.</p>"}) as site:
    await fetch(site.url("/a"))
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """A request as it came in; header names in lower case, `at` on the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    at: float


@dataclass(frozen=True)
class Page:
    """What a path answers. A body that is an iterator is sent piece by piece."""

    body: bytes | str | Iterator[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Page | bytes | str
_TYPES = {
    "xml": "application/xml",
    "pdf": "application/pdf",
    "json": "application/json",
    "txt": "text/plain",
}


class Site:
    """`pages` may be changed while it runs. A path is looked up with its query, then without; else 404."""

    def __init__(self, pages: Mapping[str, Answer | Callable[[Asked], Answer]]) -> None:
        self.pages = dict(pages)
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def times(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news."""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.path, headers, time.monotonic())
            site.asked.append(asked)
            pages = site.pages
            answer: Any = pages.get(self.path) or pages.get(self.path.partition("?")[0])
            answer = Page("no such page", 404) if answer is None else answer
            if callable(answer):
                answer = answer(asked)
            page = answer if isinstance(answer, Page) else Page(answer)
            with suppress(OSError):
                self._send(page)

        def _send(self, page: Page) -> None:
            self.send_response(page.status)
            suffix = self.path.rpartition(".")[2]
            headers = {"Content-Type": _TYPES.get(suffix, "text/html; charset=utf-8")} | dict(
                page.headers
            )
            if isinstance(page.body, bytes | str):
                body = page.body.encode() if isinstance(page.body, str) else page.body
                headers.setdefault("Content-Length", str(len(body)))
                pieces: Iterator[bytes] = iter([body])
            else:
                headers["Connection"] = "close"
                pieces = page.body
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
            self.close_connection = headers.get("Connection") == "close"

        def log_message(self, *args: object) -> None:
            pass

    return Handler
