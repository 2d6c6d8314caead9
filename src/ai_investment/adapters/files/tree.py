"""A tree of HTML elements as blocks of plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, Self

from ai_investment.content.extraction import Block


class Node(Protocol):
    """What is used of an lxml element."""

    @property
    def tag(self) -> object: ...
    @property
    def text(self) -> str | None: ...
    @property
    def tail(self) -> str | None: ...
    def get(self, key: str, /) -> str | None: ...
    def itertext(self) -> Iterator[str]: ...
    def __iter__(self) -> Iterator[Self]: ...


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_UNSEEN = frozenset(
    {"script", "style", "template", "title", "meta", "link", "noscript", "iframe", "svg"}
)
_INLINE = (
    {"a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "img"}
    | {"ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub"}
    | {"time", "tt", "u", "var", "graphic", "hi", "ref"}
)
# trafilatura names elements after TEI.
_HTML_NAMES = {"item": "li", "row": "tr", "lb": "br"}
_CELLS = frozenset({"td", "th", "cell"})
# A footnote mark must not become a digit of the number before it: 5.25%¹, 10².
_RAISED = str.maketrans("0123456789+-()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾")


def blocks(root: Node) -> list[Block]:
    """The readable text under `root` in reading order.

    List items begin with `- ` or their number and `. `, table rows are cells between ` | `, code keeps
    its lines and spaces, all other white space is a single space.
    """
    writer = _Writer()
    writer.walk(root)
    writer.flush()
    return writer.done


class _Writer:
    def __init__(self) -> None:
        self.done: list[Block] = []
        self._line: list[str] = []
        self._marker = ""
        self._tight = False
        self._depth = 0

    def walk(self, node: Node) -> None:
        tag = _tag(node)
        if tag in _UNSEEN:
            return
        if tag in _HEADINGS:
            self._put(_one_line(node), level=_HEADINGS[tag])
        elif tag == "pre":
            self._put("".join(node.itertext()).strip("\n"))
        elif tag == "tr":
            self._row(node)
        elif tag in ("ul", "ol", "table"):
            self._group(node, tag)
        elif tag == "br":
            self._line.append("\n")
        elif tag == "sup":
            self._line.append("".join(node.itertext()).translate(_RAISED))
        elif tag in _INLINE:
            self._say(node.get("alt") if tag in ("img", "graphic") else None)
            self._inside(node)
        else:
            self.flush()
            self._inside(node)
            self.flush()

    def flush(self) -> None:
        """Ends the current paragraph."""
        lines = "".join(self._line).split("\n")
        text = "\n".join(" ".join(line.split()) for line in lines).strip("\n")
        self._line = []
        if text:
            self.done.append(Block(self._marker + text, tight=self._tight))
            self._marker, self._tight = "", False

    def _inside(self, node: Node) -> None:
        self._say(node.text)
        for child in node:
            self.walk(child)
            self._say(child.tail)

    def _say(self, text: str | None) -> None:
        # White space in HTML, line ends too, is a space; only <br> breaks a line.
        self._line.append((text or "").replace("\n", " "))

    def _put(self, text: str, level: int = 0) -> None:
        self.flush()
        if not text.strip():
            return
        marker = self._marker
        if level:
            # A heading in a list item stays a heading; the text after it gets the marker.
            marker = ""
        else:
            self._marker = ""
        self.done.append(Block(marker + text, level=level, tight=self._tight))
        self._tight = False

    def _group(self, node: Node, tag: str) -> None:
        """A list or table: items and rows right under each other."""
        self.flush()
        start = node.get("start") or "1"
        number = int(start) if start.isdecimal() and len(start) < 10 else 1
        before = len(self.done)
        self._depth += 1
        for child in node:
            self._tight = len(self.done) > before or self._depth > 1
            if _tag(child) == "li":
                self._marker = f"{number}. " if tag == "ol" else "- "
                number += 1
            self.walk(child)
            self._say(child.tail)
            self.flush()
        self._depth -= 1
        self._marker, self._tight = "", False

    def _row(self, node: Node) -> None:
        cells = [_one_line(cell) for cell in node if _tag(cell) in _CELLS]
        if any(cells):
            self._put(" | ".join(cells))
            self._tight = True


def _tag(node: Node) -> str:
    """The HTML name of an element, of those in trafilatura's own tree too; comments are as unseen as scripts."""
    tag = node.tag
    if not isinstance(tag, str):
        return "script"
    if tag == "head":
        return node.get("rend") or "title"
    if tag == "list":
        return node.get("rend") or "ul"
    if tag == "hi":
        return "sup" if node.get("rend") == "#sup" else "hi"
    if tag == "code" and "\n" in (node.text or "").strip():
        return "pre"
    return _HTML_NAMES.get(tag, tag)


def _one_line(node: Node) -> str:
    """All text under `node`, its blocks separated by a space."""
    writer = _Writer()
    writer._inside(node)
    writer.flush()
    return " ".join(" ".join(block.text.split()) for block in writer.done)
