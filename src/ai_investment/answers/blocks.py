"""The paragraphs, lists and tables of a passage: what can be quoted whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from ai_investment.content.find import Passage
from ai_investment.content.sentences import sentences

_LINE = re.compile(r"[^\n]+")
_BULLET = re.compile(r"(?:[-*•·–]|\d{1,3}[.)])\s+")
_END = re.compile(r"""[.!?…]["”’')\]]*\Z""")
# A sentence that opens so speaks of something said before it.
_LEANING = re.compile(
    r"""["“'(]?(?:however|but|and|or|so|yet|therefore|thus|hence|instead|otherwise|then|also|still
    |moreover|furthermore|besides|meanwhile|similarly|likewise|consequently|nevertheless|conversely
    |for\ (?:example|instance|this|that)|in\ (?:contrast|addition|that|this|such|other\ words|turn)
    |as\ a\ result|on\ the\ other\ hand|by\ contrast|at\ that|because\ of\ (?:this|that)|after\ that
    |it|its|they|their|them|he|she|his|her|this|that|these|those|such|both|neither|either|others
    |another|the\ (?:first|second|third|other|latter|former|same|rest|result|contract)
    |next|finally|as\ (?:above|mentioned|shown))\b""",
    re.IGNORECASE | re.VERBOSE,
)
_EXAMPLE = re.compile(r"\b(?:example|suppose|imagine|made-up|let's say)\b", re.IGNORECASE)

Kind = Literal["paragraph", "list", "table"]
Span = tuple[int, int]


class Block(msgspec.Struct, frozen=True):
    """A stretch of one passage. `items`: its sentences, list items (with bullets) or rows, in order.

    A list has its lead-in sentence, when it has one, as `lead`, and in `more` what the next passage
    holds of it.
    """

    passage: Passage
    kind: Kind
    items: list[Span]
    lead: Span | None = None
    more: Block | None = None
    in_example: bool = False
    first: bool = False
    """Whether it opens its passage."""

    @property
    def start(self) -> int:
        return (self.lead or self.items[0])[0]

    @property
    def end(self) -> int:
        return self.items[-1][1]

    @property
    def text(self) -> str:
        return self.passage.text[self.start : self.end]

    @property
    def size(self) -> int:
        """Items, with those in `more`."""
        return len(self.items) + (self.more.size if self.more else 0)

    def item(self, number: int) -> str:
        start, end = self.items[number]
        return self.passage.text[start:end]


def blocks(passage: Passage, near: Mapping[tuple[str, int], Passage]) -> list[Block]:
    """The blocks of a passage in order; text that is cut off or leads nowhere is left out.

    `near` knows passages by document and position, so that a list is whole, and an example is known
    as one, across passages of one section.
    """
    before, after = (_beside(passage, near, step) for step in (-1, 1))
    found = list(_merged(passage))
    if before and found and found[0].kind == "list" and _ends_in_list(before):
        found.pop(0)  # it comes whole with the passage before
    if after and found and found[-1].kind == "list" and is_list_item(after.text):
        rest = next(_merged(after))
        found[-1] = msgspec.structs.replace(found[-1], more=rest)
    telling = bool(
        _EXAMPLE.search(passage.heading or "") or (before and _EXAMPLE.search(before.text))
    )
    marked = []
    for block in found:
        telling = telling or bool(_EXAMPLE.search(block.text))
        is_told = telling and any(sign.isdigit() for sign in block.text)
        marked.append(msgspec.structs.replace(block, in_example=is_told))
    return marked


def _beside(passage: Passage, near: Mapping[tuple[str, int], Passage], step: int) -> Passage | None:
    other = near.get((passage.document_id, passage.position + step))
    return other if other and other.heading == passage.heading else None


def _ends_in_list(passage: Passage) -> bool:
    return is_list_item(passage.text.rstrip().rsplit("\n", 1)[-1])


def is_list_item(text: str) -> bool:
    """Whether a line or text begins with a bullet or a number."""
    return bool(_BULLET.match(text.lstrip()))


def _merged(passage: Passage) -> Iterator[Block]:
    before: Block | None = None
    for block in _raw(passage):
        if before and before.kind == block.kind == "paragraph" and leans(block.item(0)):
            before = Block(passage, "paragraph", before.items + block.items)
            continue
        if before and before.kind == "paragraph" and block.kind == "list":
            before, block = _led(before, block)
        if before:
            yield from _quotable(before)
        before = block
    if before:
        yield from _quotable(before)


def _led(before: Block, block: Block) -> tuple[Block | None, Block]:
    """A list takes what leads to it from the paragraph before: a sentence, or an example's opening."""
    told = (n for n in range(len(before.items)) if _EXAMPLE.search(before.item(n)))
    from_item = next(told, len(before.items) - 1 if before.text.endswith(":") else None)
    if from_item is None:
        return before, block
    rest = before.items[:from_item]
    led = Block(block.passage, "list", block.items, lead=(before.items[from_item][0], before.end))
    return Block(before.passage, "paragraph", rest) if rest else None, led


def _raw(passage: Passage) -> Iterator[Block]:
    """A block for each line; lines of one list or table together."""
    kind: Kind = "paragraph"
    items: list[Span] = []
    for line in _LINE.finditer(passage.text):
        if not line[0].strip():
            continue
        now = _kind(line[0])
        if items and (now != kind or now == "paragraph"):
            yield Block(passage, kind, items)
            items = []
        kind = now
        start = line.start() + len(line[0]) - len(line[0].lstrip())
        if kind == "paragraph":
            items = [(line.start() + a, line.start() + b) for a, b in sentences(line[0])]
        else:
            items.append((start, line.start() + len(line[0].rstrip())))
    if items:
        yield Block(passage, kind, items)


def _kind(line: str) -> Kind:
    if " | " in line:
        return "table"
    return "list" if is_list_item(line) else "paragraph"


def _quotable(block: Block) -> Iterator[Block]:
    """The block from the first sentence that can open a quotation; nothing when there is none."""
    if block.kind == "paragraph":
        whole = [span for span in block.items if ends(block.passage.text[slice(*span)])]
        while whole and not opens(block.passage.text[slice(*whole[0])]):
            whole.pop(0)
        if whole:
            yield Block(block.passage, "paragraph", whole)
    elif len(block.items) > 1 or block.lead or ends(block.text):
        yield block


def ends(sentence: str) -> bool:
    """Whether it ends as a sentence does; headings, lead-ins and cut-off text do not."""
    return bool(_END.search(sentence))


def opens(sentence: str) -> bool:
    """Whether a quotation can begin with it: it is a statement that needs nothing before it."""
    return not leans(sentence) and not sentence.rstrip('"”').endswith("?")


def leans(sentence: str) -> bool:
    """Whether it speaks of something said before it, so that it may not open a quotation."""
    return bool(_LEANING.match(sentence))


def bare(item: str) -> str:
    """A list item without its bullet."""
    match = _BULLET.match(item)
    return item[match.end() :] if match else item
