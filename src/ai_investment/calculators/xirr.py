"""The rate a year of dated cash flows (XIRR)."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from ai_investment.calculators.calculator import Undefined, Worked, calculator, money, percent
from ai_investment.calculators.inputs import Flows, Inputs, Number, about

SHORTEST = 28
"""Days: a rate per year made from less than four weeks says nothing about a year."""


class Xirr(Inputs):
    flows: Annotated[
        Flows,
        about(
            "Pairs of ISO date and amount: paid in negative, taken out and final value positive."
        ),
    ]


@calculator(
    "XIRR",
    formula="Σ amount_k / (1+r)^(days_k/365) = 0, days counted from the first flow",
    sources=["Microsoft Excel: XIRR function, "
             "https://support.microsoft.com/office/xirr-function-de1242ec-6477-445b-b11b-a303ad9adc9d"],
    assumptions=["Act/365: a year has 365 days.", "Money paid in is negative, money taken out positive.",
                 "Flows of one day are added up."],
)  # fmt: skip
def xirr(given: Xirr) -> Worked:
    """The internal rate of return a year of dated cash flows: the return on the money that was at work."""
    flows = _by_day(given.flows)
    if len({day for day, _ in given.flows}) == 1:
        raise Undefined("same_day", "Needs at least two dates: all flows are on one day.")
    amounts = [amount for _, amount in flows]
    if not amounts or min(amounts) > 0 or max(amounts) < 0:
        raise Undefined("one_sign", "Needs money in and out: the flows do not have both signs.")
    days = (flows[-1][0] - flows[0][0]).days
    known: dict[str, float | str | None] = {"days": days}
    period = _period_return(flows)
    known["period_return"] = float(period)
    span = f"{days} day{'s' if days > 1 else ''}"
    told = f"{_signed(period)} for the period of {span}"
    if days < SHORTEST:
        raise Undefined(
            "too_short",
            f"Only {span}: a rate per year from less than {SHORTEST} days "
            f"would mean nothing. It is {told}.",
            **known,
        )
    rate = solve([((day - flows[0][0]).days / 365, float(amount)) for day, amount in flows])
    changes = sum(a * b < 0 for a, b in pairwise(amounts))
    return Worked(
        result=rate,
        steps=[
            f"{len(flows)} days with flows over {span}; gain {money(sum(amounts, Decimal(0)))}",
            f"gain / money paid in: {told}",
            f"at r = {percent(rate)} a year the discounted flows add up to 0",
        ],
        details=known,
        assumptions=["The flows change sign more than once, so more than one rate may solve the equation: "
                     "given is the one nearest to no growth."] if changes > 1 else [],
    )  # fmt: skip


def _by_day(flows: list[tuple[date, Number]]) -> list[tuple[date, Decimal]]:
    """What moved on each day, in order; days on which nothing is left over are none."""
    total: dict[date, Decimal] = defaultdict(Decimal)
    for day, amount in flows:
        total[day] += amount
    return sorted((day, amount) for day, amount in total.items() if amount)


def _period_return(flows: list[tuple[date, Decimal]]) -> Decimal:
    paid_in = -sum((amount for _, amount in flows if amount < 0), Decimal(0))
    return sum((amount for _, amount in flows), Decimal(0)) / paid_in


def _signed(fraction: Decimal) -> str:
    return f"{fraction * 100:+,.2f}%"


def solve(flows: list[tuple[float, float]]) -> float:
    """The rate r with Σ amount·(1+r)^-t = 0 for (t, amount), t ascending, amounts not 0 and of both signs.

    With u = T·ln(1+r) and T the time from first to last flow, the sum is a function of u alone that takes
    the sign of the first amount for u → ∞ and of the last for u → −∞, so steps outward from u = 0 meet
    every root; by Descartes' rule there is one when the amounts change sign once. Raises Undefined when
    there is none within (1+r)^T = e^±2000.
    """
    start, span = flows[0][0], flows[-1][0] - flows[0][0]
    largest = max(abs(amount) for _, amount in flows)
    terms = [((t - start) / span, amount / largest) for t, amount in flows]
    once = sum(a * b < 0 for (_, a), (_, b) in pairwise(terms)) == 1
    bracket = _only_bracket(terms) if once else _nearest_bracket(terms)
    if bracket is None:
        raise Undefined("no_rate", "No rate makes these flows add up to 0.")
    rate = math.expm1(_root(terms, *bracket) / span)
    if rate == -1:
        raise Undefined("no_rate", "No rate above -100% makes these flows add up to 0.")
    return rate


def _sum(terms: list[tuple[float, float]], u: float) -> float:
    """Σ a·e^(-ut), for u < 0 times e^u, so that nothing overflows."""
    shift = 1.0 if u < 0 else 0.0
    return math.fsum([amount * math.exp(-u * (t - shift)) for t, amount in terms])


def _only_bracket(terms: list[tuple[float, float]]) -> tuple[float, float]:
    at_zero = _sum(terms, 0.0)
    if at_zero == 0:
        return 0.0, 0.0
    # Towards +∞ the first term decides the sign, towards -∞ the last.
    side = 1.0 if at_zero * terms[0][1] < 0 else -1.0
    near, far = 0.0, side
    while _sum(terms, far) * at_zero > 0:
        near, far = far, far * 2
    return near, far


def _nearest_bracket(terms: list[tuple[float, float]]) -> tuple[float, float] | None:
    """The interval of the root nearest to u = 0, or None."""
    at_zero = _sum(terms, 0.0)
    if at_zero == 0:
        return 0.0, 0.0
    sign = math.copysign(1.0, at_zero)
    u, before = 0.0, {1.0: [at_zero * sign] * 2, -1.0: [at_zero * sign] * 2}
    trail = [0.0, 0.0]
    while u < 2000:
        u += 0.01 * (1 + u)
        for side, values in before.items():
            value = _sum(terms, side * u) * sign
            if value <= 0:
                return side * trail[1], side * u
            if values[0] >= values[1] < value and (
                dip := _dip(terms, sign, side * trail[0], side * u)
            ):
                return side * trail[0], dip
            before[side] = [values[1], value]
        trail = [trail[1], u]
    return None


def _dip(terms: list[tuple[float, float]], sign: float, low: float, high: float) -> float | None:
    """A point between where the sum, of this sign at both ends, touches or crosses 0."""
    for _ in range(30):
        third = (high - low) / 3
        left, right = low + third, high - third
        at_left, at_right = _sum(terms, left) * sign, _sum(terms, right) * sign
        if min(at_left, at_right) <= 0:
            return left if at_left <= 0 else right
        low, high = (low, right) if at_left < at_right else (left, high)
    return None


def _root(terms: list[tuple[float, float]], near: float, far: float) -> float:
    """The root between: Newton's steps, halved when they leave the bracket (both ends on one side of 0)."""
    at_near = _sum(terms, near)
    if at_near == 0 or near == far:
        return near
    u = (near + far) / 2
    for _ in range(200):
        value = _sum(terms, u)
        if value == 0:
            return u
        near, far = (u, far) if value * at_near > 0 else (near, u)
        shift = 1.0 if u < 0 else 0.0
        slope = math.fsum([-(t - shift) * a * math.exp(-u * (t - shift)) for t, a in terms])
        step = u - value / slope if slope else math.inf
        inside = min(near, far) < step < max(near, far)
        following = step if inside else (near + far) / 2
        if abs(following - u) <= 4e-16 * abs(u) or following in (near, far):
            return following
        u = following
    return u
