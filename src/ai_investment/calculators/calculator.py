"""What a calculator is, what it gives, and what it says when there is no number."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, get_type_hints

import msgspec

Code = Literal[
    "same_day",
    "too_short",
    "one_sign",
    "no_rate",
    "not_positive",
    "negative",
    "too_few_observations",
    "zero_deviation",
    "lengths_differ",
    "duplicate_date",
    "outside_period",
    "no_capital",
    "never_reached",
    "too_large",
]
"""Why there is no number; `Undefined` says it in words."""

Value = float | str | None
Result = float | dict[str, Value] | None


class Undefined(Exception):
    """These inputs have no such number: a finding, not a fault. `details` is what can still be told."""

    def __init__(self, code: Code, detail: str, **details: Value) -> None:
        super().__init__(detail)
        self.code: Code = code
        self.detail = detail
        self.details = details


class Worked(msgspec.Struct, frozen=True, kw_only=True):
    """What a calculator's function gives: numbers may be Decimal."""

    result: Any
    steps: list[str]
    details: dict[str, Any] = {}
    assumptions: list[str] = []


class Calculation(msgspec.Struct, frozen=True, kw_only=True):
    """A result with its working. Rates and returns are fractions: 0.05 is 5%."""

    result: Result
    """A number, an object of numbers and dates, or null when there is none."""
    reason: Code | None = None
    """Why `result` is null."""
    detail: str | None = None
    """The reason in words."""
    formula: str
    steps: list[str]
    assumptions: list[str]
    details: dict[str, Value] = {}
    """Further numbers of the same calculation."""


class Calculator(msgspec.Struct, frozen=True, kw_only=True):
    """A pure function from typed inputs to a result, with the formula and where it comes from."""

    name: str
    title: str
    summary: str
    inputs: type[Any]
    formula: str
    sources: list[str]
    assumptions: list[str]
    work: Callable[[Any], Worked]

    def __call__(self, given: msgspec.Struct) -> Calculation:
        """The calculation for these inputs; never NaN or infinity, and null only with a reason."""
        try:
            with decimal.localcontext(prec=50):
                worked = self._work(given)
            result = _plain(worked.result)
            details = _plain(worked.details)
        except Undefined as cause:
            return Calculation(
                result=None,
                reason=cause.code,
                detail=cause.detail,
                formula=self.formula,
                steps=[],
                assumptions=self.assumptions,
                details=_plain(cause.details),
            )
        return Calculation(
            result=result,
            formula=self.formula,
            steps=worked.steps,
            assumptions=[*self.assumptions, *worked.assumptions],
            details=details,
        )

    def _work(self, given: msgspec.Struct) -> Worked:
        try:
            return self.work(given)
        except (decimal.DecimalException, OverflowError) as cause:
            raise Undefined("too_large", _TOO_LARGE) from cause


_TOO_LARGE = "The result is larger than can be written as a number that means something."
# What is left of amounts that cancel each other, at 50 digits.
_NOISE = Decimal("1e-25")
REGISTERED: dict[str, Calculator] = {}


def calculator(
    title: str, *, formula: str, sources: list[str], assumptions: list[str]
) -> Callable[[Callable[[Any], Worked]], Callable[[Any], Worked]]:
    """Make a function of one input struct a calculator of its name; its docstring is the summary."""

    def register(work: Callable[[Any], Worked]) -> Callable[[Any], Worked]:
        assert work.__doc__
        REGISTERED[work.__name__] = Calculator(
            name=work.__name__,
            title=title,
            summary=" ".join(work.__doc__.split()),
            inputs=get_type_hints(work)["given"],
            formula=formula,
            sources=sources,
            assumptions=assumptions,
            work=work,
        )
        return work

    return register


def _plain(value: Any) -> Any:
    """Decimals as floats, for JSON numbers at full precision; raises Undefined beyond a float's range."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Decimal) and abs(value) < _NOISE:
        return 0.0
    if isinstance(value, Decimal | float):
        number = float(value)
        if not math.isfinite(number):
            raise Undefined("too_large", _TOO_LARGE)
        return number + 0.0  # no -0.0
    return value


def money(value: Decimal | float) -> str:
    """1234.5 as "1,234.50"; small amounts keep six digits."""
    if value and abs(float(value)) < 0.01:
        return f"{value:.6g}"
    return f"{value:,.2f}"


def number(value: Decimal | float) -> str:
    """A plain number with at most six decimals and no trailing zeros."""
    text = f"{value:,.6f}" if not value or abs(float(value)) >= 1e-6 else f"{value:.6g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def percent(value: Decimal | float) -> str:
    """0.0525 as "5.25%", with at most four decimals."""
    text = f"{value * 100:,.4f}".rstrip("0").rstrip(".")
    return ("0" if text == "-0" else text) + "%"
