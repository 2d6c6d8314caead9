"""Structured logs: one JSON object a line on standard error, with request, job and trace ids."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from ai_investment import trace

_THIRD_PARTIES = (
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "chromadb",
    "openai",
    "arq",
    "aiosqlite",
    "asyncio",
)


def configure_logging(level: str, process: str) -> None:
    """Route every logger of this process through one JSON handler. `process` names it in each line."""

    def add_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        for name, value in (
            ("request_id", trace.request_id.get()),
            ("job_id", trace.job_id.get()),
            ("trace_id", trace.trace_id()),
        ):
            if value:
                event.setdefault(name, value)
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_ids,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _THIRD_PARTIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _encode(event: Any, **_: Any) -> str:
    # JSON escapes control characters, so neither CR/LF nor ANSI codes reach the terminal.
    return msgspec.json.encode(event, enc_hook=repr).decode()
