"""Reading collections in BEIR's form: JSON lines with `_id`, `title`, `text`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ai_investment.content.query import Question, Turn
from ai_investment.evaluation.stores import CannotEvaluate

T = TypeVar("T", bound=msgspec.Struct)


class BeirDocument(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    title: str | None = None
    text: str | None = None
    key: str | None = None
    """Ours, of an article of the starter library; its `headings` are where they stand in `text`."""
    headings: list[dict[str, Any]] = []


class BeirQuery(msgspec.Struct, frozen=True):
    """`turns`: the conversation, oldest first, as [speaker, text] or {speaker|role, text|content}.

    The person's last turn may be the last of them, in `text`, or in both.
    """

    id: str = msgspec.field(name="_id")
    text: str = ""
    turns: list[list[str] | dict[str, object] | str] = []

    def question(self) -> Question:
        turns = [_turn(turn) for turn in self.turns]
        text = self.text.strip()
        if turns and turns[-1].mine and (not text or turns[-1].text.strip() == text):
            text = turns.pop().text.strip()
        return Question(text, turns)


def _turn(turn: list[str] | dict[str, object] | str) -> Turn:
    if isinstance(turn, str):
        return Turn(turn, mine=True)
    if isinstance(turn, list):
        speaker, text = (turn[0], turn[1]) if len(turn) > 1 else ("user", "".join(turn))
    else:
        speaker = str(turn.get("speaker") or turn.get("role") or "user")
        text = str(turn.get("text") or turn.get("content") or "")
    return Turn(text, mine=speaker.lower() in ("user", "human", "person"))


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """One item a line; empty lines are skipped. Raises CannotEvaluate with the line that is wrong."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield msgspec.json.decode(line, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError) as cause:
                raise CannotEvaluate(f"{path}, line {number}: {cause}") from cause
