"""Rules: what a message says in so many words, in any of the languages of the lexicon files.

A lexicon line is a regular expression over folded text (`wording.py`). A space stands for anything
between two words, `~` for up to four words between, `~~` for up to nine, `%` for up to twelve
characters in scripts without spaces. Lines of a `!` section are phrases to overlook: they are removed before the others look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import msgspec

from ai_investment.answers.safety.wording import fold

CLASSES = ("crisis", "injection", "harmful", "personal_advice", "education")


class Lexicon(msgspec.Struct, frozen=True):
    """One class: what to find, by language, and what to overlook."""

    finds: dict[str, re.Pattern[str]]
    overlooks: re.Pattern[str] | None

    def language(self, views: Iterable[str]) -> str | None:
        """The language whose words were found, or None."""
        for view in views:
            clean = self.overlooks.sub(" _ ", view) if self.overlooks else view
            for language, pattern in self.finds.items():
                if pattern.search(clean):
                    return language
        return None


@cache
def lexicon(name: str) -> Lexicon:
    """The compiled lexicon file `name`."""
    text = (
        files("ai_investment.answers.safety").joinpath("lexicon", f"{name}.txt").read_text("utf-8")
    )
    lines: dict[str, list[str]] = {}
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            lines.setdefault(section, []).append(_pattern(line))
    overlooked = lines.pop("!", [])
    return Lexicon(
        {language: re.compile("|".join(found)) for language, found in lines.items()},
        re.compile("|".join(overlooked)) if overlooked else None,
    )


def _pattern(line: str) -> str:
    """The regular expression of a lexicon line; words start where they start, in scripts with spaces."""
    # Classes such as \\W would lose their meaning with their capital.
    line = "".join(
        part if part[:1] == "\\" else fold(part) for part in re.split(r"(\\[A-Z])", line)
    )
    for sign, meaning in _SIGNS:
        line = line.replace(sign, meaning)
    start = r"(?<!\w)" if _SPACED_SCRIPT.match(line) else ""
    return f"{start}(?:{line})"


_SIGNS = (
    (" ?", r"[\W_]{0,3}"),
    (" *", r"[\W_]*"),
    (" ", r"[\W_]+"),
    ("~~", r"(?:\W+(?:\w+\W+){0,9}?)"),
    ("~", r"(?:\W+(?:\w+\W+){0,4}?)"),
    ("%", r"(?:.{0,12}?)"),
)
_SPACED_SCRIPT = re.compile(r"[(a-z\u0370-\u06ff\u0900-\u097f]")
