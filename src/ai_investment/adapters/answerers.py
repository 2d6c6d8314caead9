"""Which answerer an installation has: quotations, or a model with quotations behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from ai_investment.answers.breaker import Breaker
from ai_investment.answers.budget import Budget, Limits
from ai_investment.answers.models import Answerer
from ai_investment.answers.quoting import QuotingAnswerer
from ai_investment.answers.serving import ServingAnswerer
from ai_investment.content.vectors import Embedder
from ai_investment.db import Database
from ai_investment.settings import Settings


@asynccontextmanager
async def answerer_of(
    settings: Settings, embedder: Embedder, database: Database, redis: Redis
) -> AsyncIterator[Answerer]:
    """The answerer that `settings` ask for; raises InvalidSettings when the key cannot be one."""
    quoting = QuotingAnswerer(embedder)
    if not settings.openai_api_key:
        yield quoting
        return
    # Seconds of imports, only with a key.
    from ai_investment.adapters.openai import OpenAIAnswerer

    limits = Limits(
        settings.openai_user_daily_tokens,
        settings.openai_daily_tokens,
        settings.openai_daily_cost_usd,
    )
    writer = OpenAIAnswerer(settings)
    try:
        yield ServingAnswerer(writer, quoting, Breaker(redis, "openai"), Budget(database, limits))
    finally:
        await writer.close()
