"""Files that want to stop a worker, sent over HTTP: each fails with its reason, and the memory stays bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.adapters.test_reader import pdf, pdf_bomb, pdf_of_pages
from tests.installation import Installation, ingested

MOST_MB = 500


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """The memory (MB) of a process and its children together, again and again while the block runs."""
    seen: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            with suppress(OSError, IndexError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                seen.append(sum(resident(process) for process in [str(pid), *children]))

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    ended.set()
    thread.join()


def resident(pid: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) // 1024


def test_the_worst_files_fail_alone_and_in_bounded_memory(
    installation: Installation, admin: httpx.Client
) -> None:
    if not installation.env["DATABASE_URL"].startswith("sqlite"):
        pytest.skip("reading knows no database: once is enough")
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    worst = {
        "bomb.pdf": (pdf_bomb(400_000_000), "memory"),
        "pages.pdf": (pdf_of_pages(10_000), "2,000 pages"),
        "locked.pdf": (pdf(1, encrypt="secret"), "password"),
        "cut.pdf": (pdf(3)[:-200], "damaged"),
        "deep.html": (b"<html><body>" + b"<div>" * 500_000 + b"words", ""),
        "long.html": (b"<html><body><p>" + b"word " * 4_500_000, ""),
        "entities.html": (f"<!DOCTYPE html [<!ENTITY a0 'ha'>{entities}]><p>&a9;</p>".encode(), ""),
    }
    worker = installation.processes["pipeline"].popen.pid
    with watched(worker) as seen:
        for name, (data, words) in worst.items():
            job = ingested(admin, name, data, "application/octet-stream", key=f"worst:{name}")
            if words:
                assert job["state"] == "failed"
                assert words in job["error"]["detail"]
            good = ingested(admin, "good.md", f"A good note after {name}.".encode(), "text/markdown",
                            key=f"worst:good:{name}")  # fmt: skip
            assert good["state"] == "succeeded"
    print(f"at most {max(seen)} MB")
    assert 50 < max(seen) <= MOST_MB
    assert installation.processes["pipeline"].popen.poll() is None
