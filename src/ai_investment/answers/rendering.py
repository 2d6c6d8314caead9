"""Quotations as Markdown."""

from __future__ import annotations

import re

from ai_investment.answers.blocks import is_list_item
from ai_investment.answers.verify import Verified

_SPACE = re.compile(r"\s+")


def quotation(verified: Verified, markers: str) -> str:
    """A block quotation with its markers; a list or table keeps its lines.

    A list that nothing leads to comes under the name of its section.
    """
    text = verified.text.strip()
    if not (is_list_item(text) or "\n" in text):
        return f"> “{_plain(text)}” {markers}\n\n"
    lines = [_plain(line) for line in text.split("\n") if line.strip()]
    heading = verified.found[0].passage.heading or verified.found[0].passage.title
    above = f"**{_plain(heading.rsplit(' > ', 1)[-1])}**\n\n" if is_list_item(text) else ""
    if all(" | " in line for line in lines):
        return above + "\n".join(lines) + f"\n\n{markers}\n\n"
    if not any(is_list_item(line) for line in lines):
        return f"> “{' '.join(lines)}” {markers}\n\n"
    quoted = "\n".join(f"> {line}" for line in lines)
    return f"{above}{quoted} {markers}\n\n"


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
