"""docs/reliability.md names every row of the fault matrix, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = {*range(1, 14), 23, 24, 25, *range(27, 32)}
LINES = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (ROOT / "docs/reliability.md").read_text(), re.M)


def test_every_row_is_listed() -> None:
    assert {int(row) for row, _ in LINES} == ROWS


def test_every_named_test_is_there_and_every_fault_test_is_named() -> None:
    named = {
        (module, name)
        for _, tests in LINES
        for module, names in re.findall(r"(test_\w+): ((?:`[^`]+`(?:, )?)+)", tests)
        for name in re.findall(r"`(\w+)", names)
    }
    there = {
        (path.stem, name)
        for path in (ROOT / "tests/faults").glob("test_*.py")
        for name in re.findall(r"^(?:async )?def test_(\w+)", path.read_text(), re.M)
    }
    assert named <= there
    assert {name for module, name in there - named if module != "test_processes"} == set()
