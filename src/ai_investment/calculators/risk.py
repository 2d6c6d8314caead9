"""How a value moves: volatility, Sharpe, Sortino, drawdown, beta. Statistics are floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from ai_investment.calculators.calculator import (
    Undefined,
    Worked,
    calculator,
    number,
    percent,
)
from ai_investment.calculators.inputs import Inputs, Number, Numbers, Series, about

_SIMPLE = "Simple returns; missing prices are dropped, and a return spans the gap."
_SAMPLE = "Sample deviation (divided by n − 1)."
_ROOT_OF_TIME = "Returns of different periods are independent: the deviation grows with the square root of time."


class Returns(Inputs):
    periods_per_year: Annotated[Number, about("252 for trading days, 52 for weeks, 12 for months.")]
    returns: Annotated[
        Numbers | None, about("Fractions, one per period in order of time; null: missing.")
    ] = None
    prices: Annotated[
        Series | None, about("Instead of returns: pairs of ISO date and price; null: missing.")
    ] = None
    rf_per_period: Annotated[
        Number, about("The risk-free return of one period; volatility does without.")
    ] = Decimal(0)
    target_per_period: Annotated[
        Number | None,
        about("Sortino only: the least acceptable return of one period; else the risk-free one."),
    ] = None

    def __post_init__(self) -> None:
        if (self.returns is None) == (self.prices is None):
            raise ValueError("give either returns or prices")

    def values(self) -> list[float]:
        """At least two returns in order of time."""
        if self.prices is not None:
            prices = _positive(self.prices)
            values = [float(b / a - 1) for (_, a), (_, b) in pairwise(prices)]
        else:
            values = [float(value) for value in self.returns or [] if value is not None]
        if len(values) < 2:
            raise Undefined(
                "too_few_observations", f"Needs at least 2 returns, there are {len(values)}."
            )
        return values


@calculator(
    "Annualised volatility",
    formula="σ = √(Σ(r − mean)²/(n − 1)) · √periods per year",
    sources=["NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.6 Measures of Scale, "
             "https://www.itl.nist.gov/div898/handbook/eda/section3/eda356.htm",
             "William F. Sharpe: The Sharpe Ratio, Journal of Portfolio Management 21 (1994), time dependence"],
    assumptions=[_SAMPLE, _ROOT_OF_TIME, _SIMPLE],
)  # fmt: skip
def annualised_volatility(given: Returns) -> Worked:
    """How much returns scatter around their mean, as a yearly figure."""
    values, year = given.values(), _root_of(given.periods_per_year)
    spread = deviation(values)
    return Worked(
        result=spread * year,
        steps=[
            f"{len(values)} returns, mean {percent(mean(values))}",
            f"deviation per period = {percent(spread)}",
            f"× √{number(given.periods_per_year)} = {percent(spread * year)} a year",
        ],
        details={"mean": mean(values), "deviation": spread, "observations": len(values)},
    )


@calculator(
    "Sharpe ratio",
    formula="S = mean(r − rf)/deviation(r − rf) · √periods per year",
    sources=["William F. Sharpe: The Sharpe Ratio, Journal of Portfolio Management 21 (1994), "
             "https://web.stanford.edu/~wfsharpe/art/sr/sr.htm"],
    assumptions=[_SAMPLE, _ROOT_OF_TIME, _SIMPLE, "The risk-free return is the same in every period."],
)  # fmt: skip
def sharpe(given: Returns) -> Worked:
    """Return above the risk-free rate per unit of deviation, as a yearly figure."""
    values, year = given.values(), _root_of(given.periods_per_year)
    spread = _not_constant(deviation(values), values, "The returns do not vary")
    excess = mean(values) - float(given.rf_per_period)
    return Worked(
        result=excess / spread * year,
        steps=[
            f"mean excess return = {percent(mean(values))} − {percent(given.rf_per_period)} = {percent(excess)}",
            f"deviation = {percent(spread)}",
            f"{percent(excess)} / {percent(spread)} × √{number(given.periods_per_year)} "
            f"= {number(excess / spread * year)}",
        ],
        details={"mean_excess": excess, "deviation": spread, "observations": len(values)},
    )


@calculator(
    "Sortino ratio",
    formula="S = (mean(r) − target)/√(Σ min(r − target, 0)²/n) · √periods per year",
    sources=["Frank A. Sortino, Lee N. Price: Performance Measurement in a Downside Risk Framework, "
             "Journal of Investing 3 (1994)"],
    assumptions=["The downside deviation counts all n returns; those above the target count as 0.",
                 _ROOT_OF_TIME, _SIMPLE],
)  # fmt: skip
def sortino(given: Returns) -> Worked:
    """Return above a target per unit of deviation below it, as a yearly figure."""
    values, year = given.values(), _root_of(given.periods_per_year)
    target = float(
        given.rf_per_period if given.target_per_period is None else given.target_per_period
    )
    below = math.sqrt(math.fsum(min(value - target, 0.0) ** 2 for value in values) / len(values))
    _not_constant(below, [*values, target], "No return is below the target")
    excess = mean(values) - target
    return Worked(
        result=excess / below * year,
        steps=[
            f"mean − target = {percent(mean(values))} − {percent(target)} = {percent(excess)}",
            f"downside deviation over {len(values)} returns = {percent(below)}",
            f"{percent(excess)} / {percent(below)} × √{number(given.periods_per_year)} "
            f"= {number(excess / below * year)}",
        ],
        details={"mean_excess": excess, "downside_deviation": below, "observations": len(values)},
    )


class Beta(Inputs):
    returns: Numbers | None = None
    benchmark: Annotated[Numbers | None, about("As many as returns, of the same periods.")] = None
    returns_by_date: Annotated[
        Series | None, about("Instead, with benchmark_by_date: only dates that both have are used.")
    ] = None
    benchmark_by_date: Series | None = None

    def __post_init__(self) -> None:
        lists = [self.returns, self.benchmark]
        dated = [self.returns_by_date, self.benchmark_by_date]
        given, left_out = (dated, lists) if self.returns is None else (lists, dated)
        if None in given or any(item is not None for item in left_out):
            raise ValueError("give returns and benchmark, or returns_by_date and benchmark_by_date")


@calculator(
    "Beta",
    formula="β = covariance(r, benchmark)/variance(benchmark)",
    sources=["William F. Sharpe: Capital Asset Prices, Journal of Finance 19 (1964)"],
    assumptions=["Sample covariance and variance; pairs with a missing return are dropped."],
)
def beta(given: Beta) -> Worked:
    """How much returns moved with a benchmark: 1 means as much as the benchmark itself."""
    pairs = _pairs(given)
    if len(pairs) < 2:
        raise Undefined(
            "too_few_observations", f"Needs at least 2 common returns, there are {len(pairs)}."
        )
    own, market = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    _not_constant(deviation(market), market, "The benchmark's returns do not vary")
    own_mean, market_mean = mean(own), mean(market)
    covariance = math.fsum((a - own_mean) * (b - market_mean) for a, b in pairs) / (len(pairs) - 1)
    variance = deviation(market) ** 2
    return Worked(
        result=covariance / variance,
        steps=[
            f"{len(pairs)} common returns",
            f"covariance / variance = {covariance:.6g} / {variance:.6g} = {number(covariance / variance)}",
        ],
        details={"covariance": covariance, "variance": variance, "observations": len(pairs)},
    )


def _pairs(given: Beta) -> list[tuple[float, float]]:
    if given.returns is not None and given.benchmark is not None:
        if len(given.returns) != len(given.benchmark):
            raise Undefined(
                "lengths_differ",
                f"{len(given.returns)} returns, but {len(given.benchmark)} of the benchmark.",
            )
        both = list(zip(given.returns, given.benchmark, strict=True))
    else:
        own, market = (
            dict(dated(given.returns_by_date or [])),
            dict(dated(given.benchmark_by_date or [])),
        )
        both = [(own[day], market[day]) for day in sorted(own.keys() & market.keys())]
    return [(float(a), float(b)) for a, b in both if a is not None and b is not None]


def _positive(series: Series) -> list[tuple[date, Decimal]]:
    """Known prices by date, all above 0; raises Undefined."""
    prices = dated(series)
    for day, price in prices:
        if price <= 0:
            raise Undefined("not_positive", f"The price of {day} is not above 0.")
    return prices


def dated(series: Series) -> list[tuple[date, Decimal]]:
    pairs = series.items() if isinstance(series, dict) else series
    known = sorted((day, value) for day, value in pairs if value is not None)
    for (day, _), (following, _) in pairwise(known):
        if day == following:
            raise Undefined("duplicate_date", f"There are two values for {day}.")
    return known


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation."""
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def _not_constant(spread: float, values: Sequence[float], text: str) -> float:
    """The deviation, if it is more than the rounding of its inputs."""
    if spread <= max(1e-14, 1e-12 * max(abs(value) for value in values)):
        raise Undefined("zero_deviation", f"{text}: a ratio with 0 below has no value.")
    return spread


def _root_of(periods_per_year: Decimal) -> float:
    if periods_per_year <= 0:
        raise Undefined("not_positive", "periods_per_year must be above 0.")
    return math.sqrt(periods_per_year)
