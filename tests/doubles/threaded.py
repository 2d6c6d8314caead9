"""The model's server in a thread of its own, for tests and fixtures that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.doubles.openai_server import OpenAIServer, Reply, Step
from tests.services import wait_until


class Model:
    """A scripted model; `gate()` holds replies until `open_gate()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: OpenAIServer) -> None:
        self._loop = loop
        self._gate = asyncio.Event()
        self.server = server

    def gate(self) -> Step:
        """A closed gate, as the first step of a reply."""
        self._gate = asyncio.Event()
        return self._gate

    def open_gate(self) -> None:
        self._loop.call_soon_threadsafe(self._gate.set)

    def answer_with(self, *replies: Reply) -> None:
        """Forget what was received, and follow a new script."""
        self.server.received.clear()
        self.server.answer_with(*replies)

    def called(self, times: int) -> None:
        wait_until(lambda: len(self.server.received) >= times, f"call {times} of the model", 60)


@contextmanager
def model_server(*replies: Reply, host: str = "127.0.0.1") -> Iterator[Model]:
    """Runs while the block does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = OpenAIServer(*replies, host=host)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield Model(loop, server)
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
