"""Who answers: the model while its provider and the budgets allow it, else quotations. People are served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Protocol

from ai_investment.answers.breaker import Breaker
from ai_investment.answers.budget import Amount, Budget
from ai_investment.answers.errors import (
    BrokenReply,
    ModelRefused,
    ProviderQuota,
    ProviderRefused,
    ProviderUnavailable,
)
from ai_investment.answers.models import (
    ANYBODY,
    Answerer,
    Fault,
    Item,
    Model,
    Reader,
    Rewriting,
    Statement,
    Switched,
    Usage,
)
from ai_investment.content.find import Passage
from ai_investment.content.query import Turn
from ai_investment.jobs.errors import Later

log = logging.getLogger(__name__)

# A rate limit that lasts longer is not waited out: the reader gets quotations.
_PATIENCE = 30.0
_REFUSED_PAUSE, _QUOTA_PAUSE = 60.0, 300.0


class Writer(Answerer, Protocol):
    """An answerer that costs tokens."""

    def most(self, question: str, passages: Sequence[Passage]) -> Amount:
        """What one call costs at most."""
        ...

    def most_of_rewriting(self, question: str, earlier: Sequence[Turn]) -> Amount:
        """What one rewriting costs at most."""
        ...


class ServingAnswerer:
    """The writer's answer, or quotations marked as degraded: `budget`, `ai_services` or `model_refused`.

    Raises ProviderQuota once, so that the operator's fault is seen; what is asked after it is quoted.
    Raises Later for a short rate limit, and what is worth a retry while the breaker is closed.
    """

    def __init__(
        self,
        writer: Writer,
        quoting: Answerer,
        breaker: Breaker,
        budget: Budget,
        *,
        rewriting_seconds: float = 4.0,
    ) -> None:
        self._writer = writer
        self._quoting = quoting
        self._breaker = breaker
        self._budget = budget
        self._rewriting_seconds = rewriting_seconds

    @property
    def model(self) -> Model:
        return self._writer.model

    async def rewrite(
        self, question: str, earlier: Sequence[Turn], reader: Reader = ANYBODY
    ) -> Rewriting | None:
        """The writer's, if the breaker and the budget allow it and it is there within some seconds.

        No fault of the writer is raised, and the breaker hears of none: composing asks the same
        provider right after, with more time, and must not be lost for a request that an answer
        can do without.
        """
        if await self._breaker.state():
            return None
        most = self._writer.most_of_rewriting(question, earlier)
        reserved = await self._budget.reserve(reader.id, most)
        if reserved is None:
            return None
        rewriting: Rewriting | None = None
        try:
            async with asyncio.timeout(self._rewriting_seconds):
                rewriting = await self._writer.rewrite(question, earlier, reader)
        except Exception as cause:
            log.warning("no rewriting of a follow-up", extra={"error": type(cause).__name__})
        finally:
            await self._budget.settle(reserved, _amount(rewriting.usage) if rewriting else None)
        return rewriting

    async def compose(
        self, question: str, passages: Sequence[Passage], reader: Reader = ANYBODY
    ) -> AsyncGenerator[Item]:
        """As the writer's; see the class for when it is quotations."""
        shown, why = False, "ai_services" if await self._breaker.state() else ""
        if not why:
            try:
                writing = self._writer.compose(question, passages, reader)
                async with aclosing(self._paid(writing, question, passages, reader)) as items:
                    async for item in items:
                        shown = shown or isinstance(item, Statement)
                        yield item
                await self._breaker.succeeded()
                return
            except _OverBudget:
                why = "budget"
            except Exception as cause:
                why = await self._instead(cause)
                if shown or not why:
                    raise
        yield Switched(self._quoting.model, why)
        async with aclosing(self._quoting.compose(question, passages, reader)) as items:
            async for item in items:
                yield item

    async def repair(
        self, question: str, passages: Sequence[Passage], reader: Reader, faults: Sequence[Fault]
    ) -> AsyncGenerator[Item]:
        """Once more with the writer, if that is still allowed; what fails here is left out."""
        if await self._breaker.state():
            return
        try:
            mending = self._writer.repair(question, passages, reader, faults)
            async with aclosing(self._paid(mending, question, passages, reader)) as items:
                async for item in items:
                    yield item
        except _OverBudget:
            return
        except Exception as cause:
            # The answer stands without it.
            await self._instead(cause)

    async def _paid(
        self,
        items: AsyncGenerator[Item],
        question: str,
        passages: Sequence[Passage],
        reader: Reader,
    ) -> AsyncGenerator[Item]:
        reserved = await self._budget.reserve(reader.id, self._writer.most(question, passages))
        if reserved is None:
            await items.aclose()
            raise _OverBudget
        cost: Amount | None = None
        try:
            async with aclosing(items):
                async for item in items:
                    if isinstance(item, Usage):
                        cost = _amount(item)
                    yield item
        finally:
            await self._budget.settle(reserved, cost)

    async def _instead(self, cause: Exception) -> str:
        """Why quotations are given instead; empty when the cause is to be raised."""
        match cause:
            case ModelRefused():
                return "model_refused"
            case ProviderRefused():
                await self._breaker.open("refused", _REFUSED_PAUSE)
                return "ai_services"
            case ProviderQuota():
                await self._breaker.open("quota", _QUOTA_PAUSE)
            case Later() if cause.seconds > _PATIENCE:
                await self._breaker.open("rate_limit", cause.seconds)
                return "ai_services"
            case ProviderUnavailable() | BrokenReply():
                return "ai_services" if await self._breaker.failed() else ""
        return ""


class _OverBudget(Exception):
    pass


def _amount(usage: Usage) -> Amount | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    cost = Decimal(usage.cost_usd) if usage.cost_usd is not None else None
    return Amount(usage.input_tokens + usage.output_tokens, cost)
