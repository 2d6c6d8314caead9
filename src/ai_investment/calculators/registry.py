"""All calculators by name."""

from __future__ import annotations

from ai_investment.calculators import (
    annuities,
    drawdown,
    growth,
    performance,
    purchases,
    risk,
    xirr,
)
from ai_investment.calculators.calculator import REGISTERED, Calculator
from ai_investment.errors import NotFound

__all__ = ["CALCULATORS", "UnknownCalculator", "named"]

# Importing a module registers what it calculates.
_MODULES = (annuities, drawdown, growth, performance, purchases, risk, xirr)
CALCULATORS: dict[str, Calculator] = dict(sorted(REGISTERED.items()))


class UnknownCalculator(NotFound):
    title = "Unknown calculator"


def named(name: str) -> Calculator:
    """The calculator of this name (`-` and `_` are one); raises UnknownCalculator, which lists them."""
    found = CALCULATORS.get(name.replace("-", "_").lower())
    if found is None:
        raise UnknownCalculator(
            f"There is no calculator {name[:60]!r}. There are: {', '.join(CALCULATORS)}."
        )
    return found
