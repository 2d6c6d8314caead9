"""A model's reply as it arrives: statements in the agreed JSON, prose with markers, calls of tools, usage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jiter
import msgspec
from openai.types.chat import ChatCompletionChunk

from ai_investment.adapters.openai_errors import declined
from ai_investment.answers.errors import BrokenReply
from ai_investment.answers.models import Quote, Statement, Usage
from ai_investment.content.find import Passage
from ai_investment.content.sentences import sentences

# The prompt asks for six statements: more is kept, but a model that never stops is not.
_MAX_STATEMENTS = 12
_MAX_CHARACTERS = 24_000
# A question has 300 at most; the rest is for how servers dress it up.
_MAX_OF_A_QUESTION = 2_000
_MAX_CALLS = 6
_OPENING = re.compile(r"\A\s*(?:```\w*\s*)?(?={)|(?=\{\s*\"(?:answerable|statements)\")")
_MARKERS = re.compile(r"\s*\[\d+(?:\s*[,;]\s*\d+)*\]")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_ONLY_MARKERS = re.compile(r"(?:\s*\[\d+(?:\s*[,;]\s*\d+)*\])+[.\s]*")


class Call(msgspec.Struct):
    """A tool that the model asks for; `arguments` are JSON, if they are whole."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class _Citation(msgspec.Struct):
    passage: int
    quote: str


class _Written(msgspec.Struct):
    text: str
    citations: list[_Citation]
    calculated: bool = False


class _Question(msgspec.Struct):
    question: str


class _Growing(msgspec.Struct):
    """The reply so far; the last statement may lack fields."""

    answerable: bool = True
    statements: list[dict[str, Any]] = []


class _Arriving:
    """A reply on its way, of at most so many characters.

    Chunks are read leniently: compatible servers leave out fields.
    """

    def __init__(self, most: int) -> None:
        self.usage: Usage | None = None
        self.calls: list[Call] = []
        self._most = most
        self._text = ""
        self._finish: str | None = None

    def _read(self, chunk: ChatCompletionChunk) -> str:
        """The text that this chunk adds."""
        if usage := getattr(chunk, "usage", None):
            self.usage = Usage(
                input_tokens=getattr(usage, "prompt_tokens", None),
                output_tokens=getattr(usage, "completion_tokens", None),
            )
        piece = ""
        for choice in getattr(chunk, "choices", None) or ():
            delta = getattr(choice, "delta", None)
            self._finish = getattr(choice, "finish_reason", None) or self._finish
            if getattr(delta, "refusal", None) or self._finish == "content_filter":
                raise declined()
            piece += getattr(delta, "content", None) or ""
            self._add_calls(getattr(delta, "tool_calls", None) or ())
        self._text += piece
        if len(self._text) + sum(len(call.arguments) for call in self.calls) > self._most:
            raise BrokenReply(f"the reply is longer than {self._most} characters")
        return piece

    def _ended(self) -> None:
        """Raises BrokenReply unless the model ended the reply itself; a tool's call may be cut."""
        if self._finish is None:
            raise BrokenReply("the stream ended before the reply")
        if self._finish == "length" and not self.calls:
            raise BrokenReply("the reply was cut at the length limit")

    def _add_calls(self, deltas: Sequence[Any]) -> None:
        for delta in deltas:
            index = getattr(delta, "index", None)
            index = len(self.calls) if index is None else index
            if not 0 <= index <= min(len(self.calls), _MAX_CALLS - 1):
                raise BrokenReply("calls of tools that do not follow each other, or too many")
            if index == len(self.calls):
                self.calls.append(Call())
            call, function = self.calls[index], getattr(delta, "function", None)
            call.id = call.id or getattr(delta, "id", None) or ""
            call.name += getattr(function, "name", None) or ""
            call.arguments += getattr(function, "arguments", None) or ""


class Reply(_Arriving):
    """The reply with an answer."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        super().__init__(_MAX_CHARACTERS)
        self._passages = passages
        self._json: int | None = None
        """Where the JSON begins."""
        self._given = 0
        self._whole = False

    def add(self, chunk: ChatCompletionChunk) -> list[Statement]:
        """The statements that this chunk completed. Raises ModelRefused or BrokenReply."""
        piece = self._read(chunk)
        if self._json is None and (opening := _OPENING.search(self._text)):
            self._json = opening.end()
        if self._json is None:
            return self._told(ended=False) if piece else []
        # A statement ends with a brace.
        return self._completed() if "}" in piece else []

    def end(self) -> list[Statement]:
        """What only the end completed. Raises BrokenReply unless the model ended the reply itself."""
        self._ended()
        if self.calls:
            return []
        if self._json is not None:
            if not self._whole:
                raise BrokenReply("the reply is not the agreed JSON")
            return []
        statements = self._told(ended=True)
        if not (self._given and _MARKERS.search(self._text)):
            raise BrokenReply("the reply is neither the agreed JSON nor text with markers")
        return statements

    def _completed(self) -> list[Statement]:
        try:
            growing, open_at_end = self._parse()
            until = len(growing.statements) - open_at_end
            ready = growing.statements[self._given : min(until, _MAX_STATEMENTS)]
            statements = [self._statement(msgspec.convert(item, _Written)) for item in ready]
        except ValueError as cause:
            raise BrokenReply("the reply is not the agreed JSON") from cause
        self._given += len(statements)
        return statements if growing.answerable else []

    def _parse(self) -> tuple[_Growing, int]:
        """The reply so far, and 1 when its last statement is not complete."""
        data = self._text[self._json :].rstrip("` \n").encode()
        for ending, whole in ((b"", True), (b"]}", False)):
            try:
                parsed = jiter.from_json(data + ending)
            except ValueError:
                continue
            self._whole = whole and isinstance(parsed, dict) and (
                {"answerable", "statements"} <= parsed.keys()
            )  # fmt: skip
            return msgspec.convert(parsed, _Growing), 0
        self._whole = False
        return msgspec.convert(jiter.from_json(data, partial_mode=True), _Growing), 1

    def _statement(self, written: _Written) -> Statement:
        """A citation of a passage that was not given is dropped; whether the others hold is checked later."""
        quotes = [
            Quote(self._passages[item.passage - 1].id, item.quote)
            for item in written.citations
            if 1 <= item.passage <= len(self._passages)
        ]
        return Statement(written.text, quotes, computed=written.calculated)

    def _told(self, *, ended: bool) -> list[Statement]:
        """Sentences of prose that are complete; a marker after a full stop belongs before it."""
        spans = sentences(self._text)
        found: list[str] = []
        for start, end in spans:
            if found and _ONLY_MARKERS.fullmatch(self._text[start:end]):
                continue
            if _LETTERS.search(self._text[start:end]):
                found.append(self._text[start:end])
        until = min(len(found) if ended else len(found) - 1, _MAX_STATEMENTS)
        ready = found[self._given : until]
        self._given = max(self._given, until)
        return [Statement(_MARKERS.sub("", text), []) for text in ready]


class QuestionReply(_Arriving):
    """The reply with a question that was written anew."""

    def __init__(self) -> None:
        super().__init__(_MAX_OF_A_QUESTION)

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Raises ModelRefused, or BrokenReply for a reply that does not come to an end."""
        self._read(chunk)

    def end(self) -> str:
        """The question. Raises BrokenReply unless the reply is whole and of the agreed form."""
        self._ended()
        start, end = self._text.find("{"), self._text.rfind("}") + 1
        try:
            return msgspec.json.decode(self._text[start:end].encode(), type=_Question).question
        except ValueError as cause:
            raise BrokenReply("the reply is not the agreed JSON") from cause
