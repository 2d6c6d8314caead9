"""The answerer that writes with a language model, over the chat completions protocol of OpenAI."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec
import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from ai_investment.adapters.openai_errors import translated
from ai_investment.adapters.openai_prices import cost
from ai_investment.adapters.openai_reply import Call, QuestionReply, Reply
from ai_investment.adapters.openai_request import (
    ANSWER_FORMS,
    PROMPT_VERSION,
    QUESTION_FORMS,
    messages,
    rewriting,
    tools,
)
from ai_investment.answers.budget import Amount
from ai_investment.answers.errors import BrokenReply, ProviderUnavailable
from ai_investment.answers.models import (
    ANYBODY,
    Computed,
    Fault,
    Item,
    Model,
    Reader,
    Rewriting,
    Usage,
    total,
)
from ai_investment.calculators.tools import call as calculate
from ai_investment.content.find import Passage
from ai_investment.content.query import Turn
from ai_investment.errors import Problem
from ai_investment.settings import InvalidSettings, Settings

T = TypeVar("T")
# Whether the model may call tools, may not any more, or is given none.
Calls = Literal["auto", "none"] | None

_CONNECT_SECONDS = 5.0
_ROUNDS = 4
_KEY = re.compile(r"[!-~]+")
# What a reply takes at most, and how many characters a token has at least, in any language we answer in.
_REPLY_TOKENS, _QUESTION_TOKENS, _CHARACTERS_PER_TOKEN = 2_000, 700, 3


class OpenAIAnswerer:
    """Writes statements with `OPENAI_MODEL` at `OPENAI_BASE_URL`.

    Besides what every answerer promises: at most four requests a call (the calculators are its tools),
    an end within `time_limit` seconds, and the API key in no error and no log. Raises InvalidSettings
    when the key cannot be one.
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
        # What the server has turned out not to support is not sent again.
        self._form = 0
        """Which of the forms of a reply is asked for."""
        self._extras: dict[str, Any] = {
            "tools": tools(),
            "stream_options": {"include_usage": True},
        }

    @property
    def model(self) -> Model:
        return self._model

    async def close(self) -> None:
        """Close the connections; the answerer is of no use afterwards."""
        await self._client.close()

    def most(self, question: str, passages: Sequence[Passage]) -> Amount:
        """What one call costs at most, if it calls no tool."""
        return self._most(messages(question, passages, ANYBODY), _REPLY_TOKENS)

    def most_of_rewriting(self, question: str, earlier: Sequence[Turn]) -> Amount:
        """What one rewriting costs at most."""
        return self._most(rewriting(question, earlier), _QUESTION_TOKENS)

    def _most(self, said: list[ChatCompletionMessageParam], reply: int) -> Amount:
        characters = sum(len(str(item.get("content"))) for item in said)
        asked = characters // _CHARACTERS_PER_TOKEN
        return Amount(asked + reply, cost(self._model.name, asked, reply))

    async def rewrite(
        self, question: str, earlier: Sequence[Turn], reader: Reader = ANYBODY
    ) -> Rewriting:
        """The question in the model's words, not checked; raises as `compose`."""
        reply = QuestionReply()
        deadline = asyncio.get_running_loop().time() + self._time_limit
        chunks = self._chunks(rewriting(question, earlier), deadline, QUESTION_FORMS)
        async with aclosing(chunks):
            async for chunk in chunks:
                reply.add(chunk)
        return Rewriting(reply.end(), self._priced(reply.usage))

    async def compose(
        self, question: str, passages: Sequence[Passage], reader: Reader = ANYBODY
    ) -> AsyncGenerator[Item]:
        """Each statement as soon as the model has written it, at the end the usage (null: not told).

        Raises ProviderQuota, ProviderRefused or ModelRefused (final), Later (rate limit), or
        ProviderUnavailable or BrokenReply (worth a retry), also after statements were given.
        """
        async with aclosing(self._rounds(messages(question, passages, reader), passages)) as items:
            async for item in items:
                yield item

    async def repair(
        self, question: str, passages: Sequence[Passage], reader: Reader, faults: Sequence[Fault]
    ) -> AsyncGenerator[Item]:
        """Statements in place of those with faults; raises as `compose`."""
        asked = messages(question, passages, reader, faults)
        async with aclosing(self._rounds(asked, passages)) as items:
            async for item in items:
                yield item

    async def _rounds(
        self, said: list[ChatCompletionMessageParam], passages: Sequence[Passage]
    ) -> AsyncGenerator[Item]:
        deadline = asyncio.get_running_loop().time() + self._time_limit
        usages: list[Usage] = []
        for number in range(1, _ROUNDS + 1):
            reply = Reply(passages)
            calls: Calls = "auto" if number < _ROUNDS else "none"
            chunks = self._chunks(said, deadline, ANSWER_FORMS, calls)
            async with aclosing(chunks):
                async for chunk in chunks:
                    for statement in reply.add(chunk):
                        yield statement
            for statement in reply.end():
                yield statement
            usages.append(self._priced(reply.usage))
            if not reply.calls:
                yield total(usages)
                return
            answers = [_called(call) for call in reply.calls]
            for computed, _ in answers:
                if computed:
                    yield computed
            said = [*said, *_transcript(reply.calls, [answer for _, answer in answers])]
        raise BrokenReply(f"no reply within {_ROUNDS} rounds of calculations")

    def _priced(self, usage: Usage | None) -> Usage:
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            return usage or Usage()
        price = cost(self._model.name, usage.input_tokens, usage.output_tokens)
        told: Decimal | None = price
        return msgspec.structs.replace(usage, cost_usd=None if told is None else f"{told:f}")

    async def _chunks(
        self,
        said: list[ChatCompletionMessageParam],
        deadline: float,
        forms: list[dict[str, Any]],
        calls: Calls = None,
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        stream = await self._opened(said, deadline, forms, calls)
        try:
            while (chunk := await self._by(deadline, lambda: anext(stream, None))) is not None:
                yield chunk
        finally:
            await _end(stream)

    async def _opened(
        self,
        said: list[ChatCompletionMessageParam],
        deadline: float,
        forms: list[dict[str, Any]],
        calls: Calls,
    ) -> openai.AsyncStream[ChatCompletionChunk]:
        """The stream; asks again without what the server says it does not support."""
        while True:
            extras = dict(self._extras)
            if calls is None:
                extras.pop("tools", None)
            elif calls == "none" and "tools" in extras:
                extras["tool_choice"] = "none"

            def request(
                extras: dict[str, Any] = extras,
            ) -> Awaitable[openai.AsyncStream[ChatCompletionChunk]]:
                return self._client.chat.completions.create(
                    model=self._model.name,
                    messages=said,
                    stream=True,
                    **forms[self._form],
                    **extras,
                )

            try:
                return await self._by(deadline, request, self._leave_out)
            except _Without:
                continue

    def _leave_out(self, cause: Exception) -> None:
        """Raises _Without when a request was refused for a part that can be left out."""
        refused = isinstance(cause, (openai.BadRequestError, openai.UnprocessableEntityError))
        words = str(cause).lower() if refused else ""
        last = self._form == len(ANSWER_FORMS) - 1
        if not last and re.search(r"response_?format|json_(?:schema|object)", words):
            self._form += 1
            raise _Without
        for name in ("tools", "stream_options"):
            if name in self._extras and re.search(rf"{name.rstrip('s')}|{name}", words):
                del self._extras[name]
                raise _Without

    async def _by(
        self,
        deadline: float,
        step: Callable[[], Awaitable[T]],
        look: Callable[[Exception], None] = lambda _: None,
    ) -> T:
        """What the SDK gives, in time, or one of our errors; `look` may raise before it becomes one."""
        try:
            async with asyncio.timeout_at(deadline):
                return await step()
        except TimeoutError:
            error: Exception = ProviderUnavailable(f"no end within {self._time_limit:g} s")
        except (openai.OpenAIError, ValueError) as cause:  # ValueError: an event that is not JSON
            look(cause)
            error = translated(cause, self._key)
        raise error


class _Without(Exception):
    pass


async def _end(stream: openai.AsyncStream[ChatCompletionChunk]) -> None:
    """Close a stream, wherever it was left.

    Then what it is read through ends too, for there is nothing more to read. Left waiting, ten generators
    would be collected later, by whatever thread comes to it, while the event loop closes one of them.
    """
    await stream.close()
    with suppress(Exception):  # StopAsyncIteration, or what reading a closed response raises
        while True:
            await anext(stream)


def _called(call: Call) -> tuple[Computed | None, str]:
    """A calculation and its JSON for the model, or what was wrong with the call, in words for it."""
    try:
        calculation = calculate(call.name, call.arguments)
        inputs = msgspec.json.decode(call.arguments)
    except Problem as problem:
        return None, msgspec.json.encode(problem.body()).decode()
    told = msgspec.json.encode(calculation).decode()
    if calculation.result is None:
        return None, told
    steps = "\n".join(calculation.steps)
    return Computed(call.name, inputs, calculation.result, calculation.formula, steps), told


def _transcript(calls: Sequence[Call], answers: Sequence[str]) -> list[ChatCompletionMessageParam]:
    asked: ChatCompletionMessageParam = {
        "role": "assistant",
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ],
    }
    told: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": call.id, "content": answer}
        for call, answer in zip(calls, answers, strict=True)
    ]
    return [asked, *told]
