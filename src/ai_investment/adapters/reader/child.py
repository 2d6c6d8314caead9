"""The reader's process: requests come in on stdin, replies go out on stdout, nothing else does."""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import Any, BinaryIO

import msgspec

from ai_investment.adapters.reader import Reply, Request
from ai_investment.content.extraction import Unreadable

_TOO_MUCH = "The file cannot be read: it needs too much memory."


def main() -> None:
    requests, replies = _private_streams()
    _limit(int(sys.argv[1]))
    while header := requests.read(8):
        request = msgspec.msgpack.decode(requests.read(int.from_bytes(header, "big")), type=Request)
        # When the parent is gone nobody else ends us in the middle of a file.
        signal.alarm(int(request.seconds) + 5)
        reply, fresh = _answer(request)
        signal.alarm(0)
        replies.write(len(reply).to_bytes(8, "big") + reply)
        replies.flush()
        if not fresh:
            return


def _answer(request: Request) -> tuple[bytes, bool]:
    """The encoded reply, and whether this process may go on."""
    try:
        value = msgspec.msgpack.encode(_work(request))
        return msgspec.msgpack.encode(Reply(msgspec.Raw(value), None)), True
    except Unreadable as cause:
        return _refusal(cause.reason), True
    except (MemoryError, RecursionError):
        return _refusal(_TOO_MUCH), False


def _refusal(reason: str) -> bytes:
    return msgspec.msgpack.encode(Reply(msgspec.Raw(b"\xc0"), reason))


def _work(request: Request) -> Any:
    data, options = request.data, request.options
    match request.op:
        case "extract":
            from ai_investment.adapters.files import extract

            return extract(data, media_type=options["media_type"], name=options["name"] or "")
        case "feed":
            from ai_investment.adapters.reader.feeds import read_feed

            return read_feed(data, url=options["url"] or "", media_type=options["media_type"])
        case "sitemap":
            from ai_investment.adapters.reader.feeds import read_sitemap

            return read_sitemap(data)
        case "study":
            from ai_investment.adapters.reader.study import study

            return study(data.decode())
    raise ValueError(request.op)


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Our ends of the pipes; what a library prints goes to stderr."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return requests, replies


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # Libraries unpack their models into temporary files; nothing else is written.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024**2, 200 * 1024**2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
