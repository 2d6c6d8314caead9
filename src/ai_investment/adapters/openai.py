"""The answerer that writes with a language model, over the chat completions protocol of OpenAI."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from importlib.resources import files
from typing import Any, Final, TypeVar

import jiter
import msgspec
import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.shared_params import ResponseFormatJSONSchema

from ai_investment.adapters.openai_errors import (
    BrokenReply,
    ProviderUnavailable,
    declined,
    translated,
)
from ai_investment.answers.models import ANYBODY, Item, Model, Quote, Reader, Statement, Usage
from ai_investment.content.find import Passage
from ai_investment.settings import InvalidSettings, Settings

T = TypeVar("T")

PROMPT_VERSION: Final = "answer.v1"
_PROMPT = (
    files("ai_investment.answers").joinpath("prompts", f"{PROMPT_VERSION}.md").read_text("utf-8")
)

_CONNECT_SECONDS = 5.0
# The prompt asks for eight statements: more is kept, but a model that never stops is not.
_MAX_STATEMENTS = 12
_MAX_CHARACTERS = 24_000
_KEY = re.compile(r"[!-~]+")

_REPLY_FORMAT: ResponseFormatJSONSchema = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "answerable": {"type": "boolean"},
                "statements": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "text": {"type": "string"},
                            "citations": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "passage": {"type": "integer"},
                                        "quote": {"type": "string"},
                                    },
                                    "required": ["passage", "quote"],
                                    "additionalProperties": False,
                                },
                            },
                        },
                        "required": ["text", "citations"],
                        "additionalProperties": False,
                    },
                },
            },
            "required": ["answerable", "statements"],
            "additionalProperties": False,
        },
    },
}


class OpenAIAnswerer:
    """Writes statements with `OPENAI_MODEL` at `OPENAI_BASE_URL`.

    Besides what every answerer promises: one request a call, an end within `time_limit` seconds, and
    the API key in no error and no log. Raises InvalidSettings when the key cannot be one.
    """

    def __init__(self, settings: Settings, *, time_limit: float = 60.0) -> None:
        # A pasted key often ends in a line break, and the HTTP library prints a key it cannot send.
        self._key = settings.openai_api_key.strip()
        if not _KEY.fullmatch(self._key):
            raise InvalidSettings(
                ["OPENAI_API_KEY: empty, or has characters that a key cannot have"]
            )
        self._model = Model("openai", settings.openai_model, PROMPT_VERSION)
        self._time_limit = time_limit
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=settings.openai_base_url,
            timeout=openai.Timeout(time_limit, connect=min(_CONNECT_SECONDS, time_limit)),
            # The job engine retries, and it frees the worker in the meantime.
            max_retries=0,
        )

    @property
    def model(self) -> Model:
        return self._model

    async def close(self) -> None:
        """Close the connections; the answerer is of no use afterwards."""
        await self._client.close()

    async def compose(
        self, question: str, passages: Sequence[Passage], reader: Reader = ANYBODY
    ) -> AsyncGenerator[Item]:
        """Each statement as soon as the model has written it, at the end the usage (null: not told).

        Raises ProviderQuota, ProviderRefused or ModelRefused (final), Later (rate limit), or
        ProviderUnavailable or BrokenReply (worth a retry), also after statements were given.
        """
        reply = _Reply(passages)
        async with aclosing(self._chunks(_messages(question, passages))) as chunks:
            async for chunk in chunks:
                for statement in reply.add(chunk):
                    yield statement
        reply.check_ended()
        yield reply.usage

    async def _chunks(
        self, messages: list[ChatCompletionMessageParam]
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        deadline = asyncio.get_running_loop().time() + self._time_limit
        request = self._client.chat.completions.create(
            model=self._model.name,
            messages=messages,
            response_format=_REPLY_FORMAT,
            stream=True,
            stream_options={"include_usage": True},
        )
        stream = await self._by(deadline, request)
        async with stream:
            while (chunk := await self._by(deadline, anext(stream, None))) is not None:
                yield chunk

    async def _by(self, deadline: float, step: Awaitable[T]) -> T:
        """What the SDK gives, in time, or one of our errors."""
        try:
            async with asyncio.timeout_at(deadline):
                return await step
        except TimeoutError:
            error: Exception = ProviderUnavailable(f"no end within {self._time_limit:g} s")
        except (openai.OpenAIError, ValueError) as cause:  # ValueError: an event that is not JSON
            error = translated(cause, self._key)
        raise error


def _messages(question: str, passages: Sequence[Passage]) -> list[ChatCompletionMessageParam]:
    """The rules, then the passages and the question as data.

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
    return [
        {"role": "system", "content": _PROMPT},
        {"role": "user", "content": "\n\n".join(blocks)},
    ]


class _Citation(msgspec.Struct):
    passage: int
    quote: str


class _Written(msgspec.Struct):
    text: str
    citations: list[_Citation]


class _Growing(msgspec.Struct):
    """The reply so far; the last statement may lack fields."""

    answerable: bool = True
    statements: list[dict[str, Any]] = []


class _Reply:
    """A reply as it arrives. Chunks are read leniently: compatible servers leave out fields."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.usage = Usage()
        self._passages = passages
        self._json = ""
        self._given = 0
        self._whole = False
        self._finish: str | None = None

    def add(self, chunk: ChatCompletionChunk) -> list[Statement]:
        """The statements that this chunk completed."""
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
        self._json += piece
        if len(self._json) > _MAX_CHARACTERS:
            raise BrokenReply(f"the reply is longer than {_MAX_CHARACTERS} characters")
        # A statement is complete when the next one begins or the reply ends: with a brace.
        return self._completed() if "{" in piece or "}" in piece else []

    def check_ended(self) -> None:
        """Raises BrokenReply unless the model ended the reply itself and it has the agreed form."""
        if self._finish is None:
            raise BrokenReply("the stream ended before the reply")
        if self._finish == "length":
            raise BrokenReply("the reply was cut at the length limit")
        if not self._whole:
            raise BrokenReply("the reply is not the agreed JSON")

    def _completed(self) -> list[Statement]:
        try:
            growing = self._parse()
            until = len(growing.statements) - (0 if self._whole else 1)
            ready = growing.statements[self._given : min(until, _MAX_STATEMENTS)]
            statements = [self._statement(msgspec.convert(item, _Written)) for item in ready]
        except ValueError as cause:
            raise BrokenReply("the reply is not the agreed JSON") from cause
        self._given += len(statements)
        return statements if growing.answerable else []

    def _parse(self) -> _Growing:
        data = self._json.encode()
        try:
            parsed = jiter.from_json(data)
            self._whole = isinstance(parsed, dict) and {"answerable", "statements"} <= parsed.keys()
        except ValueError:
            parsed = jiter.from_json(data, partial_mode=True)
            self._whole = False
        return msgspec.convert(parsed, _Growing)

    def _statement(self, written: _Written) -> Statement:
        """A citation of a passage that was not given is dropped; whether the others hold is checked later."""
        quotes = [
            Quote(self._passages[item.passage - 1].id, item.quote)
            for item in written.citations
            if 1 <= item.passage <= len(self._passages)
        ]
        return Statement(written.text, quotes)
