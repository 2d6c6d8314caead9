"""Waiting for a condition, not for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def until(probe: Callable[[], Any], what: str, seconds: float = 40) -> None:
    """Wait for a condition with an end, asking often; the probe may be asynchronous."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if await found if inspect.isawaitable(found) else found:
            return
        await asyncio.sleep(0.03)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")
