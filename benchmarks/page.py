"""Sections of docs/evaluation.md that commands write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"


def write_section(name: str, command: str, lines: Sequence[str]) -> str:
    """Put the lines in the place of the section of this name, or at the end; returns the section."""
    start, end = f"<!-- {name}: written by `{command}` -->", f"<!-- end of {name} -->"
    section = "\n".join([start, "", *lines, "", end])
    page = _PAGE.read_text("utf-8") if _PAGE.exists() else "# Evaluation\n"
    before, found, after = page.partition(start)
    rest = after.partition(end)[2] if found else ""
    _PAGE.write_text(f"{before.rstrip()}\n\n{section}\n\n{rest.lstrip()}".rstrip() + "\n", "utf-8")
    return section
