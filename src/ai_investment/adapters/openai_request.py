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

PROMPT_VERSION: Final = "answer.v2"
_PROMPTS = files("ai_investment.answers").joinpath("prompts")
_RULES = _PROMPTS.joinpath(f"{PROMPT_VERSION}.md").read_text("utf-8")
_REPAIR = _PROMPTS.joinpath("repair.v1.md").read_text("utf-8")

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
# What servers of the same protocol support of it, best first; the rules describe the form in words too.
REPLY_FORMATS: Final[list[dict[str, Any]]] = [
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": REPLY_SCHEMA},
        }
    },
    {"response_format": {"type": "json_object"}},
    {},
]


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
    code = hashlib.sha256(msgspec.json.encode((question, sources))).hexdigest()[:16]
    blocks = [
        f"<passage-{code} number={number}>\nFrom: {' '.join(title.split())}\n\n{text}\n</passage-{code}>"
        for number, (title, text) in enumerate(sources, start=1)
    ]
    blocks.append(f"<question-{code}>\n{question}\n</question-{code}>")
    if faults:
        lines = "\n".join(f"- {fault.text}\n  Not accepted: {fault.why}" for fault in faults)
        blocks.append(f"{_REPAIR}\n<statements-{code}>\n{lines}\n</statements-{code}>")
    level = next(words for until, words in _READERS if (reader.age or 200) <= until)
    return [
        {"role": "system", "content": f"{_RULES}\n{level}\n"},
        {"role": "user", "content": "\n\n".join(blocks)},
    ]
