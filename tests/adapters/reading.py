"""What the tests of file reading share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ai_investment.adapters.files import extract
from ai_investment.content.extraction import Extracted, Unreadable

CASES = Path(__file__).parents[1] / "cases"
PARAGRAPH = (
    "Investing means giving up something today for a chance of more later, and every promise of gain "
    "comes with a chance of loss. Costs are the one thing you can know in advance."
)


def read(data: bytes | str, name: str, media_type: str | None = None) -> Extracted:
    raw = data.encode() if isinstance(data, str) else data
    found = extract(raw, media_type=media_type, name=name)
    for heading in found.headings:
        assert found.text[heading.start :].startswith(heading.text + "\n") or found.text.endswith(
            heading.text
        )
    return found


def reason(data: bytes | str, name: str, media_type: str | None = None) -> str:
    with pytest.raises(Unreadable) as refusal:
        read(data, name, media_type)
    assert refusal.value.reason.endswith(".")
    return refusal.value.reason


def outline(found: Extracted) -> list[tuple[int, str]]:
    return [(heading.level, heading.text) for heading in found.headings]


def page(body: str, head: str = "", charset: str = '<meta charset="utf-8">') -> str:
    return (
        f'<!DOCTYPE html><html lang="en-GB"><head>{charset}<title>T</title>{head}</head><body>'
        f'<nav><ul><li><a href="/">Home</a></li><li><a href="/b">Blog</a></li></ul></nav>'
        f"<main><article>{body}</article></main><footer>Imprint © 2019</footer></body></html>"
    )
