"""Money that grows or shrinks at a steady rate: fees, inflation, CAGR."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from ai_investment.calculators.calculator import (
    Undefined,
    Worked,
    calculator,
    money,
    number,
    percent,
)
from ai_investment.calculators.inputs import Inputs, Number, Rate, about
from ai_investment.calculators.powers import not_negative, power

_ZERO = Decimal(0)


class FeeDrag(Inputs):
    principal: Number
    annual_return: Annotated[Number, about("A fraction, before fees: 0.05 is 5% a year.")]
    annual_fee: Annotated[Number, about("A fraction of the value a year: 0.01 is 1%.")]
    years: Number
    other_annual_fee: Annotated[Number, about("The fee to compare with; 0: no fee.")] = _ZERO


@calculator(
    "Fee drag",
    formula="value = P·((1+g)·(1−fee))^years; cost = value with the lower fee − value with the higher fee",
    sources=["SEC Office of Investor Education: How Fees and Expenses Affect Your Investment Portfolio, "
             "https://www.investor.gov/introduction-investing/general-resources/news-alerts/"
             "alerts-bulletins/investor-bulletins/updated-investor-bulletin-how-fees-expenses-affect"],
    assumptions=["The return is the same every year: an assumption, not a promise.", "The fee is a share of the value, taken at the end of each year.",
                 "Nothing is paid in later; taxes and inflation are left out."],
)  # fmt: skip
def fee_drag(given: FeeDrag) -> Worked:
    """What a yearly fee costs over the years, against another fee or none."""
    for fee in (given.annual_fee, given.other_annual_fee):
        if fee > 1:
            raise Undefined("too_large", "A fee cannot take more than the whole value.")
    values = []
    for fee in (given.annual_fee, given.other_annual_fee):
        factor = (1 + given.annual_return) * (1 - fee)
        values.append(given.principal * power(factor, not_negative(given.years, "years")))
    value, other = values
    cost = other - value
    steps = [
        f"with a fee of {percent(given.annual_fee)}: {money(given.principal)} × "
        f"((1 + {percent(given.annual_return)}) × (1 − {percent(given.annual_fee)}))^{number(given.years)} = {money(value)}",
        f"with a fee of {percent(given.other_annual_fee)}: {money(other)}",
        f"difference = {money(cost)}",
    ]
    result = {"value": value, "other_value": other, "cost": cost,
              "cost_fraction": cost / other if other else None}  # fmt: skip
    return Worked(result=result, steps=steps)


class Inflation(Inputs):
    amount: Number
    annual_rate: Rate
    years: Number


@calculator(
    "Inflation",
    formula="future cost = amount·(1+r)^years; buying power = amount/(1+r)^years",
    sources=["US Bureau of Labor Statistics: Consumer Price Index, Calculating percent changes, "
             "https://www.bls.gov/cpi/factsheets/calculating-percent-changes.htm"],
    assumptions=["Prices rise at the same rate every year: an assumption, not a promise."],
)  # fmt: skip
def inflation(given: Inflation) -> Worked:
    """What the same things will cost after years of inflation, and what the money will still buy."""
    if given.annual_rate <= -1:
        raise Undefined("not_positive", "Prices cannot fall by 100% or more.")
    level = power(1 + given.annual_rate, not_negative(given.years, "years"))
    cost, worth = given.amount * level, given.amount / level
    return Worked(
        result={"future_cost": cost, "buying_power": worth},
        steps=[
            f"(1 + {percent(given.annual_rate)})^{number(given.years)} = {number(level)}",
            f"what costs {money(given.amount)} today will cost {money(cost)}",
            f"{money(given.amount)} will buy what {money(worth)} buys today",
        ],
    )


class Cagr(Inputs):
    begin: Number
    end: Number
    years: Number


@calculator(
    "CAGR",
    formula="CAGR = (end/begin)^(1/years) − 1",
    sources=["Brealey, Myers, Allen: Principles of Corporate Finance, ch. 7 (geometric mean return)"],
    assumptions=["Nothing was paid in or taken out in between.",
                 "It is the steady rate that leads from begin to end; the way there was hardly steady."],
)  # fmt: skip
def cagr(given: Cagr) -> Worked:
    """Compound annual growth rate: the steady yearly rate from one value to another."""
    if given.begin <= 0:
        raise Undefined("not_positive", "begin must be above 0.")
    if given.end < 0:
        raise Undefined("negative", "end must not be below 0.")
    if given.years <= 0:
        raise Undefined("not_positive", "years must be above 0.")
    ratio = given.end / given.begin
    rate = power(ratio, 1 / given.years) - 1
    return Worked(
        result=rate,
        steps=[
            f"end / begin = {money(given.end)} / {money(given.begin)} = {number(ratio)}",
            f"{number(ratio)}^(1/{number(given.years)}) − 1 = {percent(rate)} a year",
        ],
        details={"total_return": ratio - 1},
    )
