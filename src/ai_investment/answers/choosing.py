"""Which blocks of the found passages answer a question best, and which of their sentences to quote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log
from typing import TYPE_CHECKING

import msgspec

from ai_investment.answers.asking import Asked, kind_of
from ai_investment.answers.blocks import Block, Span, bare, blocks, ends, leans, opens
from ai_investment.answers.orders import gives_orders
from ai_investment.answers.words import content_stems
from ai_investment.content.find import Passage
from ai_investment.content.vectors import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PASSAGES = 6
# Embedding is what costs time: only the likeliest blocks, and of each what its first lines say.
_EMBEDDED, _WORDS = 6, 48
_LONGEST_LIST = 10
_IN_A_ROW = 3
_DEFINING = re.compile(
    r"\s(?:(?:is|are)\s(?=(?:an?|the|any|how|what|when|one|money|funds?|payments?|loans?)\b)"
    r"|(?:means?|refers? to|describes?|happens? when|tells?|compares?|asks?|measures?|sets?|tr(?:y|ies) to)\s)"
    r"|:\s",
    re.I,
)
_NAMES = re.compile(r"\bor\b|[,()]|\balso (?:called|known as)\b|\bshort for\b", re.I)
_LONGEST_SUBJECT = 90
_BECAUSE = re.compile(r"\bbecause\b|\breasons?\b|\bso that\b", re.I)
_ELSEWHERE = re.compile(
    r"[÷×=]|\?[\"”]?\Z|\b(?:this|the) (?:table|chart|graph|figure)\b|\b(?:below|above)[.:]", re.I
)
_SUMMARY = re.compile(r"\b(?:key points|summary|in short|takeaways|at a glance|key facts)\b", re.I)


class Candidate(msgspec.Struct):
    """A block with what speaks for it."""

    block: Block
    rank: int
    """Of its passage."""
    stems: set[str]
    above: set[str]
    """Stems of the title and the headings that it stands under."""
    defines: int | None = None
    """The item that defines what is asked about."""
    score: float = 0.0


def candidates(question: Asked, passages: Sequence[Passage]) -> list[Candidate]:
    """The blocks worth embedding, likeliest first, scored by words, form and place."""
    near = {(passage.document_id, passage.position): passage for passage in passages}
    found = [
        Candidate(block, rank, set(content_stems(_all_text(block))), _above(passage))
        for rank, passage in enumerate(passages[:_PASSAGES])
        for block in _units(blocks(passage, near))
        if not gives_orders(_all_text(block))
    ]
    seen_in = Counter(stem for item in found for stem in item.stems | item.above)
    weights = {
        stem: share * (log(1 + len(found) / (1 + seen_in[stem])) + 0.1)
        for stems, share in ((question.also, 0.4), (question.stems, 1.0))
        for stem in stems
    }
    for item in found:
        item.defines = _definition(item.block, question)
        item.score = _said(item, question, weights) + _suits(item, question) - 0.03 * item.rank
    found.sort(key=lambda item: -item.score)
    return found[:_EMBEDDED]


def _units(found: list[Block]) -> Iterator[Block]:
    """The blocks that can be quoted; a summary comes in its items, each of which stands by itself."""
    for number, block in enumerate(found):
        if block.kind == "list" and _SUMMARY.search(block.passage.heading or ""):
            for item in range(len(block.items)):
                if ends(block.item(item)):
                    yield Block(block.passage, "list", [block.items[item]])
        elif block.kind != "list" or block.size <= _LONGEST_LIST:
            yield msgspec.structs.replace(block, first=number == 0)


def _all_text(block: Block) -> str:
    return block.text + (f"\n{block.more.text}" if block.more else "")


def _above(passage: Passage) -> set[str]:
    return set(content_stems(f"{passage.title} {passage.heading or ''}"))


def _said(item: Candidate, question: Asked, weights: dict[str, float]) -> float:
    """How much of what is asked about stands in the block, or above it."""
    total = sum(weights[stem] for stem in question.stems) or 1.0
    said = sum(weight for stem, weight in weights.items() if stem in item.stems)
    above = sum(weight for stem, weight in weights.items() if stem in item.above - item.stems)
    return min(1.0, (said + 0.8 * above) / total) / 2


def _suits(item: Candidate, question: Asked) -> float:
    """How well the form of a block suits the kind of question."""
    block, kind = item.block, question.kind
    suits = 0.04 if block.first else 0.0
    if kind != "other" and kind == kind_of(block.passage.heading or ""):
        suits += 0.12
    if item.defines is not None and kind == "definition":
        suits += 0.45
    if block.kind == "list" and block.size > 1:
        suits += {"steps": 0.25, "reasons": 0.0}.get(kind, -0.1)
        if not block.lead and not _on_subject(block, question):
            suits -= 0.25
    if block.kind == "table":
        suits += 0.1 if kind == "comparison" else -0.6
    if kind == "reasons" and _BECAUSE.search(block.text):
        suits += 0.08
    if block.in_example and not question.wants_figures:
        suits -= 0.35
    if _SUMMARY.search(block.passage.heading or ""):
        suits -= 0.08
    return suits


def _on_subject(block: Block, question: Asked) -> bool:
    """Whether the heading right above a list, which is all that leads to it, is about what is asked."""
    heading = (block.passage.heading or block.passage.title).rsplit(" > ", 1)[-1]
    return not {*question.stems, *question.also}.isdisjoint(content_stems(heading))


def _definition(block: Block, question: Asked) -> int | None:
    """The item whose subject is what is asked about: "An ETF is …", "Coupon: …"."""
    wanted = set(question.stems)
    if not wanted:
        return None
    for number in range(len(block.items)):
        sentence = bare(block.item(number))
        subject = _DEFINING.split(sentence, maxsplit=1)
        if len(subject) < 2 or len(subject[0]) > _LONGEST_SUBJECT:
            continue
        # "Market capitalisation, or market cap, is …": any of its names may be asked for.
        if any(wanted == set(content_stems(name)) for name in _NAMES.split(subject[0])):
            return number
    return None


def rate(
    question: Asked, whole: str, found: list[Candidate], embedder: Embedder
) -> NDArray[np.float32]:
    """Adds nearness in meaning to the scores and sorts by them; returns the blocks' likeness."""
    texts = [_gist(item.block) for item in found]
    asked = [question.text] if question.text == whole else [question.text, whole]
    vectors = embedder.embed([*asked, *texts])
    about, of_blocks = vectors[: len(asked)].mean(axis=0), vectors[len(asked) :]
    for item, nearness in zip(found, of_blocks @ about, strict=True):
        item.score += float(nearness)
    order = sorted(range(len(found)), key=lambda number: -found[number].score)
    found[:] = [found[number] for number in order]
    likeness: NDArray[np.float32] = of_blocks[order] @ of_blocks[order].T
    return likeness


def _gist(block: Block) -> str:
    heading = block.passage.heading or block.passage.title
    words = block.text.split()[:_WORDS]
    return f"{heading.rsplit(' > ', 1)[-1]}\n{' '.join(words)}"


class Window(msgspec.Struct, frozen=True):
    """What to quote: spans of a passage and of the one after it, and how many items that makes."""

    spans: list[tuple[Passage, Span]]
    size: int


def window(item: Candidate, question: Asked, most: int) -> Window:
    """What to quote of a block, at most `most` sentences; a list or table is quoted whole."""
    block = item.block
    if block.kind == "paragraph":
        first, last = _sentences(item, question, most)
        span = block.items[first][0], block.items[last][1]
        return Window([(block.passage, span)], last - first + 1)
    if block.size == 1 or (question.kind == "definition" and item.defines is not None):
        start, end = block.items[item.defines or 0]
        inside = end - len(bare(block.passage.text[start:end]))
        return Window([(block.passage, (inside, end))], 1)
    spans = [(block.passage, (block.start, block.end))]
    if block.more:
        spans.append((block.more.passage, (block.more.start, block.more.end)))
    return Window(spans, block.size)


def _sentences(item: Candidate, question: Asked, most: int) -> tuple[int, int]:
    block = item.block
    first = last = _first(item, question)
    while last + 1 < min(first + min(most, _IN_A_ROW), len(block.items)):
        # Sums, tables and questions to the reader belong to what is not quoted with them.
        if not question.wants_figures and _ELSEWHERE.search(block.item(last + 1)):
            break
        last += 1
    if first == last and first and last == len(block.items) - 1:
        first -= 1
        while first and leans(block.item(first)):
            first -= 1
    return first, last


def _first(item: Candidate, question: Asked) -> int:
    """The sentence to begin with: the definition, else the one that says most of what is asked."""
    block, wanted = item.block, set(question.stems)
    if question.kind == "definition" and item.defines is not None:
        first = item.defines
    else:
        said = [
            len(wanted & set(content_stems(block.item(number))))
            if opens(block.item(number))
            else -1
            for number in range(len(block.items))
        ]
        first = said.index(max(said))
        # The opening sets the scene; it is left out only when what is asked stands far from it.
        if first < _IN_A_ROW and len(block.items) <= 2 * _IN_A_ROW:
            first = 0
    while first and leans(block.item(first)):
        first -= 1
    return first
