"""Passages: pieces of a document small enough to embed, along its sections and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import cast

import msgspec
from semchunk.semchunk import chunk as cut

from ai_investment.content.extraction import Heading
from ai_investment.content.sentences import sentences, trim

CountTokens = Callable[[str], int]


class Span(msgspec.Struct, frozen=True):
    """A passage `text[start:end]` and the headings above it, outermost first, joined with ` > `."""

    start: int
    end: int
    heading: str | None


class _Unit(msgspec.Struct, frozen=True):
    """A sentence, table row or heading line, or a part of one that alone is too long."""

    start: int
    end: int
    tokens: int


class _Section(msgspec.Struct, frozen=True):
    """What stands under a heading: `path` are the headings in force, its own last; `title` is its line."""

    path: tuple[Heading, ...]
    title: list[_Unit]
    body: list[_Unit]

    @property
    def tokens(self) -> int:
        return sum(unit.tokens for unit in self.title + self.body)


def chunk(
    text: str, headings: Sequence[Heading], *, count_tokens: CountTokens, max_tokens: int = 180
) -> list[Span]:
    """Passages of at most `max_tokens` (their headings not counted), in order and without overlap.

    Each is trimmed and not empty. Together they cover all of `text` but white space and the heading
    lines that are in a `heading`. A section ends a passage, except that neighbours under one parent
    are put together with their heading lines while all of them are tiny. A sentence or table row is
    cut only when it alone is longer than `max_tokens`.

    `headings` are in order of `start`. `count_tokens` must not count a text as more than the sum of
    its parts, as no common tokeniser does; it sees every character a bounded number of times.
    """
    spans: list[Span] = []
    for group in _merged(_sections(text, headings, count_tokens, max_tokens), max_tokens):
        path, units = group[0].path, group[0].body
        if len(group) > 1 or not units:
            path, units = (
                path[:-1],
                [unit for section in group for unit in section.title + section.body],
            )
        heading = " > ".join(heading.text for heading in path) or None
        for start, end in _packed(text, units, max_tokens):
            spans.append(Span(start=start, end=end, heading=heading))
    return spans


def _sections(
    text: str, headings: Sequence[Heading], count_tokens: CountTokens, max_tokens: int
) -> Iterator[_Section]:
    path: tuple[Heading, ...] = ()
    ends = [heading.start for heading in headings] + [len(text)]
    if body := _units(text, 0, ends[0], count_tokens, max_tokens):
        yield _Section(path=path, title=[], body=body)
    for heading, (start, end) in zip(headings, pairwise(ends), strict=True):
        path = (*(above for above in path if above.level < heading.level), heading)
        line_end = text.find("\n", start, end)
        line_end = end if line_end < 0 else line_end
        title = _units(text, start, line_end, count_tokens, max_tokens)
        body = _units(text, line_end, end, count_tokens, max_tokens)
        yield _Section(path=path, title=title, body=body)


def _units(
    text: str, start: int, end: int, count_tokens: CountTokens, max_tokens: int
) -> list[_Unit]:
    found = [(start + a, start + b) for a, b in sentences(text[start:end])]
    units: list[_Unit] = []
    # Counted with the white space after it, so that a passage is never more than the sum of its units.
    for (a, b), (following, _) in pairwise([*found, (end, end)]):
        tokens = count_tokens(text[a:following])
        if tokens <= max_tokens:
            units.append(_Unit(a, b, tokens))
            continue
        # Only here: between sentences semchunk would also cut after "approx." and "U.S.".
        offsets = cut(text[a:b], max_tokens, count_tokens, memoize=False, offsets=True)[1]
        spans = cast("list[tuple[int, int]]", offsets)
        # semchunk keeps white space that it does not split at, such as a form feed.
        parts = [(c, d) for c, d in (trim(text, a + c, a + d) for c, d in spans) if c < d]
        for (c, d), (after, _) in pairwise([*parts, (following, following)]):
            units.append(_Unit(c, d, count_tokens(text[c:after])))
    return units


def _merged(sections: Iterator[_Section], max_tokens: int) -> Iterator[list[_Section]]:
    """Runs of tiny neighbours under one parent that fit into one passage; all others alone."""
    group: list[_Section] = []
    size = 0
    for section in _carried(sections):
        tokens = section.tokens
        tiny = bool(section.title) and tokens <= max_tokens // 4
        if group and not (
            tiny and section.path[:-1] == group[0].path[:-1] and size + tokens <= max_tokens
        ):
            yield group
            group, size = [], 0
        if tiny:
            group.append(section)
            size += tokens
        else:
            yield [section]
    if group:
        yield group


def _carried(sections: Iterator[_Section]) -> Iterator[_Section]:
    """`sections` without those that hold nothing but a heading which the next one has in its path."""
    before: _Section | None = None
    for section in sections:
        if before and (before.body or section.path[: len(before.path)] != before.path):
            yield before
        before = section
    if before:
        yield before


def _packed(text: str, units: Sequence[_Unit], max_tokens: int) -> Iterator[tuple[int, int]]:
    """Runs of units, about equal in size and ending where a paragraph does if one is near."""
    rest = sum(unit.tokens for unit in units)
    first = 0
    while first < len(units):
        target = rest / max(1, -(-rest // max_tokens))
        best, best_cost, best_size = first + 1, float("inf"), units[first].tokens
        size = 0
        for after in range(first + 1, len(units) + 1):
            size += units[after - 1].tokens
            if size > max_tokens and after > first + 1:
                break
            cost = abs(size - target) / max(target, 1) + _break_cost(text, units, after)
            if cost <= best_cost:
                best, best_cost, best_size = after, cost, size
        yield units[first].start, units[best - 1].end
        first, rest = best, rest - best_size


def _break_cost(text: str, units: Sequence[_Unit], after: int) -> float:
    """How much is lost by ending a passage before `units[after]`, as a share of a passage's size.

    At most a half, so that a passage is never much smaller than it need be.
    """
    if after == len(units):
        return 0.0
    gap = text[units[after - 1].end : units[after].start]
    if text[units[after - 1].end - 1] == ":":
        return 0.5
    if "\n\n" in gap:
        return 0.0
    is_row = " | " in text[units[after].start : units[after].end]
    return 0.15 if "\n" in gap and not is_row else 0.4
