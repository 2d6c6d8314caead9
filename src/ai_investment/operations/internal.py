"""The internal listener: /health and /metrics of this process, without a key, on a port of its own.

It listens in a thread, but the process's event loop gives the answers: a loop that hangs does not answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from ai_investment.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Below the time-out of the probes in gitops/, so that a hanging loop is told from a lost packet.
TIMEOUT = 4.0
PATHS = ("/health", "/metrics")


async def process_metrics() -> bytes:
    """What a worker knows of itself: its memory, processor time and open files."""
    return generate_latest(REGISTRY)


@contextmanager
def listening(
    settings: Settings, loop: asyncio.AbstractEventLoop, expose: Callable[[], Awaitable[bytes]]
) -> Iterator[None]:
    """Listen on API_HOST:METRICS_PORT while the block runs. Raises OSError when the port is taken."""
    if not settings.metrics_port:
        yield
        return

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        answer = dict(zip(PATHS, (_alive, expose), strict=True)).get(environ.get("PATH_INFO", ""))
        status, body = ("404 Not Found", b"") if answer is None else _from_loop(loop, answer)
        start(status, [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(body)))])
        return [body]

    with make_server(
        settings.api_host, settings.metrics_port, application, _Server, _Handler
    ) as server:
        threading.Thread(target=server.serve_forever, name="internal", daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


async def _alive() -> bytes:
    return b"ok\n"


def _from_loop(
    loop: asyncio.AbstractEventLoop, answer: Callable[[], Awaitable[bytes]]
) -> tuple[str, bytes]:
    async def run() -> bytes:
        return await asyncio.wait_for(answer(), TIMEOUT)

    running: Coroutine[Any, Any, bytes] = run()
    waiting = asyncio.run_coroutine_threadsafe(running, loop)
    try:
        return "200 OK", waiting.result(TIMEOUT + 0.5)
    except Exception as cause:
        waiting.cancel()
        # The class only: messages of drivers hold addresses.
        return "503 Service Unavailable", f"{type(cause).__name__}\n".encode()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10

    def address_string(self) -> str:
        return ""  # no look-up of names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes are not logged."""
