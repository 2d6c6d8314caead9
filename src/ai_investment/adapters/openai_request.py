"""What is asked of a model: the rules, the passages as data, the form of the reply, the tools."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from ai_investment.answers.models import Fault, Reader
from ai_investment.calculators.tools import schemas
from ai_investment.content.find import Passage
from ai_investment.content.query import Turn

PROMPT_VERSION: Final = "answer.v2"
# How much of a conversation a question is understood by: turns, and characters of each.
_TURNS, _OF_A_TURN = 6, 700
_PROMPTS = files("ai_investment.answers").joinpath("prompts")
_RULES = _PROMPTS.joinpath(f"{PROMPT_VERSION}.md").read_text("utf-8")
_REPAIR = _PROMPTS.joinpath("repair.v1.md").read_text("utf-8")
_REWRITE = _PROMPTS.joinpath("rewrite.v1.md").read_text("utf-8")

_READERS = [
    (15, "The reader is between 13 and 15 years old. Use short, everyday words and sentences of at most 15 words."),
    (17, "The reader is 16 or 17 years old. Use plain words and sentences of at most 20 words."),
    (200, "The reader is an adult beginner. Use plain words and sentences of at most 25 words."),
]  # fmt: skip


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


# The citations come first, so that a statement is complete with the last word of its text.
REPLY_SCHEMA: Final = _object(
    answerable={"type": "boolean"},
    statements=_list(
        _object(
            citations=_list(_object(passage={"type": "integer"}, quote={"type": "string"})),
            calculated={"type": "boolean"},
            text={"type": "string"},
        )
    ),
)


def _forms(name: str, schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What servers support of a form, best first; the rules describe it in words too."""
    strict = {"name": name, "strict": True, "schema": schema}
    return [
        {"response_format": {"type": "json_schema", "json_schema": strict}},
        {"response_format": {"type": "json_object"}},
        {},
    ]


ANSWER_FORMS: Final = _forms("answer", REPLY_SCHEMA)
QUESTION_FORMS: Final = _forms("question", _object(question={"type": "string"}))


def tools() -> list[ChatCompletionToolParam]:
    """The calculators as functions that the model may call."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in schemas()
    ]


def messages(
    question: str, passages: Sequence[Passage], reader: Reader, faults: Sequence[Fault] = ()
) -> list[ChatCompletionMessageParam]:
    """The rules, then the passages and the question as data, then what has to be mended.

    The tags carry a digest of everything between them: no text can hold the tag that closes it, and
    equal input gives an equal prompt. So passages need no escaping, and quotes stay verbatim.
    """
    sources = [
        (" · ".join(filter(None, (item.title, item.heading))), item.text) for item in passages
    ]
    code = _code(question, sources)
    blocks = [
        f"<passage-{code} number={number}>\nFrom: {' '.join(title.split())}\n\n{text}\n</passage-{code}>"
        for number, (title, text) in enumerate(sources, start=1)
    ]
    blocks.append(_tagged("question", code, question))
    if faults:
        lines = "\n".join(f"- {fault.text}\n  Not accepted: {fault.why}" for fault in faults)
        blocks.append(f"{_REPAIR}\n{_tagged('statements', code, lines)}")
    level = next(words for until, words in _READERS if (reader.age or 200) <= until)
    return [
        {"role": "system", "content": f"{_RULES}\n{level}\n"},
        {"role": "user", "content": "\n\n".join(blocks)},
    ]


def rewriting(question: str, earlier: Sequence[Turn]) -> list[ChatCompletionMessageParam]:
    """The rules, then the last turns and the question as data, in tags as in `messages`."""
    turns = [(turn.mine, turn.text[:_OF_A_TURN]) for turn in earlier[-_TURNS:]]
    code = _code(question, turns)
    blocks = [_tagged("person" if mine else "assistant", code, text) for mine, text in turns]
    blocks.append(_tagged("question", code, question))
    return [
        {"role": "system", "content": _REWRITE},
        {"role": "user", "content": "\n\n".join(blocks)},
    ]


def _code(*data: object) -> str:
    return hashlib.sha256(msgspec.json.encode(data)).hexdigest()[:16]


def _tagged(name: str, code: str, text: str) -> str:
    return f"<{name}-{code}>\n{text}\n</{name}-{code}>"
