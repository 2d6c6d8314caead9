"""Maximum drawdown: the deepest fall from a peak."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from ai_investment.calculators.calculator import Undefined, Worked, calculator, number, percent
from ai_investment.calculators.inputs import Inputs, Series, about
from ai_investment.calculators.risk import dated


class MaxDrawdown(Inputs):
    prices: Series | None = None
    returns: Annotated[
        Series | None,
        about("Instead of prices: the value before the first return counts as a peak too."),
    ] = None

    def __post_init__(self) -> None:
        if (self.returns is None) == (self.prices is None):
            raise ValueError("give either prices or returns")


@calculator(
    "Maximum drawdown",
    formula="max drawdown = min over t of (price_t / highest price up to t − 1)",
    sources=["Malik Magdon-Ismail, Amir F. Atiya: Maximum Drawdown, Risk 17 (2004)"],
    assumptions=["A negative fraction; 0 when the price never fell, and then there are no dates.",
                 "Of equal peaks and equal troughs the first is given. Recovery: the first date at or above the peak again.",
                 "With returns, a peak before the first date has no date.",
                 "Missing prices are dropped."],
)  # fmt: skip
def max_drawdown(given: MaxDrawdown) -> Worked:
    """The deepest fall from a peak, with the dates of peak, trough and recovery."""
    prices = _prices(given)
    worst, peak, fall = Decimal(0), prices[0], None
    for at in prices:
        if at[1] > peak[1]:
            peak = at
        elif (depth := at[1] / peak[1] - 1) < worst:
            worst, fall = depth, (peak, at)
    if fall is None:
        return _told(worst, None, None, None, ["the price never fell below an earlier one"])
    top, bottom = fall
    after = (
        day for day, price in prices if day and price >= top[1] and bottom[0] and day > bottom[0]
    )
    recovery = next(after, None)
    steps = [
        f"peak {number(top[1])} {f'on {top[0]}' if top[0] else 'at the start'}, trough {number(bottom[1])} on {bottom[0]}",
        f"{number(bottom[1])} / {number(top[1])} − 1 = {percent(worst)}",
        f"recovered on {recovery}" if recovery else "not recovered",
    ]
    return _told(worst, top[0], bottom[0], recovery, steps)


def _told(
    worst: Decimal, peak: date | None, trough: date | None, recovery: date | None, steps: list[str]
) -> Worked:
    dates = {"peak_date": peak, "trough_date": trough, "recovery_date": recovery}
    result = {name: day.isoformat() if day else None for name, day in dates.items()}
    return Worked(result={"max_drawdown": worst, **result}, steps=steps)


def _prices(given: MaxDrawdown) -> list[tuple[date | None, Decimal]]:
    """At least two values in order of time; the start, when returns are given, has no date."""
    prices: list[tuple[date | None, Decimal]]
    if given.returns is not None:
        prices = [(None, Decimal(1))]
        for day, change in dated(given.returns):
            prices.append((day, prices[-1][1] * (1 + change)))
    else:
        prices = list(dated(given.prices or []))
    if len(prices) < 2:
        raise Undefined("too_few_observations", "Needs at least 2 prices, or 1 return.")
    for at, price in prices:
        # 0 is a total loss, and there is a fall to it; it is no peak to fall from.
        if price < 0:
            raise Undefined("negative", f"The price of {at} is below 0.")
    if prices[0][1] == 0:
        raise Undefined("not_positive", "The first price must be above 0.")
    return prices
