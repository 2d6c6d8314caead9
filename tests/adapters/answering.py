"""One question to a model behind the local server, and the replies that tests script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ai_investment.adapters.openai import OpenAIAnswerer
from ai_investment.answers.models import Quote, Statement, Usage
from ai_investment.content.find import Passage
from ai_investment.settings import Settings
from tests.doubles.openai_server import OpenAIServer, Received, Reply

CASES = Path(__file__).parent.parent / "cases"
KEY = "sk-test-0123456789abcdef"
QUESTION = "What is an ETF?"
ETF = "An ETF is a fund that is traded on an exchange."
COST = "Most ETFs cost less than 0.50 % a year."


def passage(number: int, text: str) -> Passage:
    return Passage(f"psg_{number}", "doc_1", "Funds", None, "library", None, None, text, 0.9)


PASSAGES = [passage(1, ETF), passage(2, COST)]
FIRST = {"text": "An ETF is a fund on an exchange.", "citations": [{"passage": 1, "quote": ETF}]}
SECOND = {"text": "Most cost less than 0.50 %.", "citations": [{"passage": 2, "quote": COST}]}


def reply_json(*statements: dict[str, Any], answerable: bool = True) -> str:
    return json.dumps({"answerable": answerable, "statements": list(statements)})


def statement(written: dict[str, Any]) -> Statement:
    quotes = [Quote(f"psg_{item['passage']}", item["quote"]) for item in written["citations"]]
    return Statement(written["text"], quotes)


@asynccontextmanager
async def answering(
    *replies: Reply, time_limit: float = 10
) -> AsyncIterator[tuple[OpenAIAnswerer, OpenAIServer]]:
    async with OpenAIServer(*replies) as server:
        settings = Settings(
            openai_api_key=KEY, openai_base_url=server.base_url, openai_model="stand-in"
        )
        answerer = OpenAIAnswerer(settings, time_limit=time_limit)
        try:
            yield answerer, server
        finally:
            await answerer.close()


async def composed(
    *replies: Reply, passages: list[Passage] = PASSAGES
) -> tuple[list[Statement], Usage, Received]:
    """The statements and the usage of one question, and the request that was sent for it."""
    async with answering(*replies) as (answerer, server):
        *statements, told = [item async for item in answerer.compose(QUESTION, passages)]
        assert isinstance(told, Usage)
        [request] = server.received
        return [item for item in statements if isinstance(item, Statement)], told, request


async def failure(*replies: Reply, time_limit: float = 10) -> tuple[Exception, OpenAIServer]:
    """The error that one question ends with."""
    async with answering(*replies, time_limit=time_limit) as (answerer, server):
        with pytest.raises(Exception) as raised:
            [item async for item in answerer.compose(QUESTION, PASSAGES)]
        return raised.value, server
