"""A test on both databases side by side: most of its time is waiting for leases and sweeps."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from tests.faults.ground import Ground


def on_both_databases(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The test gets `ground` once for SQLite and once for PostgreSQL, each with a Redis of its own."""

    async def named(name: str, ground: Ground, given: dict[str, Any]) -> None:
        try:
            await test(ground=ground, **given)
        except BaseException as cause:
            cause.add_note(f"on {name}, in {ground.folder}")
            raise

    @functools.wraps(test)
    async def both(grounds: dict[str, Ground], **given: Any) -> None:
        async with asyncio.TaskGroup() as group:
            for name, ground in grounds.items():
                group.create_task(named(name, ground, given))

    signature = inspect.signature(test)
    parameters = [
        parameter.replace(name="grounds") if parameter.name == "ground" else parameter
        for parameter in signature.parameters.values()
    ]
    both.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return both
