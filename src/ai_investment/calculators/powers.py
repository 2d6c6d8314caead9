"""Arithmetic that the calculators share."""

from __future__ import annotations

from decimal import Decimal

from ai_investment.calculators.calculator import Undefined


def not_negative(value: Decimal, name: str) -> Decimal:
    if value < 0:
        raise Undefined("negative", f"{name} must not be below 0.")
    return value


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """`base ** exponent`, with 0 ** 0 = 1: a sum that had no time to grow is itself."""
    return base**exponent if exponent else Decimal(1)
