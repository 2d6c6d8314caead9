"""What tokens cost, by a table with a date."""

from __future__ import annotations

import re
from decimal import Decimal
from importlib.resources import files

import msgspec


class _Price(msgspec.Struct, frozen=True):
    """US dollars for a million tokens."""

    input: Decimal
    output: Decimal


class _Table(msgspec.Struct, frozen=True):
    as_of: str
    source: str
    models: dict[str, _Price]


_TABLE = msgspec.json.decode(
    files("ai_investment.adapters").joinpath("openai_prices.json").read_bytes(), type=_Table
)
_MILLION = 1_000_000
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")


def cost(model: str, input_tokens: int, output_tokens: int) -> Decimal | None:
    """US dollars at list price, cached input not counted as cheaper; None for a model not in the table."""
    price = _TABLE.models.get(_SNAPSHOT.sub("", model))
    if price is None:
        return None
    return (price.input * input_tokens + price.output * output_tokens) / _MILLION
