"""Buying in several steps: equal amounts (dollar-cost averaging) and given numbers of units."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from ai_investment.calculators.calculator import Undefined, Worked, calculator, money, number
from ai_investment.calculators.inputs import Inputs, Number, Numbers, Pairs, about


class Dca(Inputs):
    amount_per_purchase: Number
    purchase_prices: Annotated[
        Numbers, about("One price per purchase; null: no price was known, nothing was bought.")
    ]
    final_price: Number


@calculator(
    "Dollar-cost averaging",
    formula="units = Σ amount/price; average cost = invested/units; gain = units·final price − invested",
    sources=["FINRA: Dollar-Cost Averaging, https://www.finra.org/investors/insights/dollar-cost-averaging"],
    assumptions=["Parts of a unit can be bought.", "Fees, taxes and dividends are left out."],
)  # fmt: skip
def dca(given: Dca) -> Worked:
    """Units, average cost and gain of buying for the same amount at changing prices."""
    prices = [price for price in given.purchase_prices if price is not None]
    if not prices:
        raise Undefined("too_few_observations", "No purchase has a price.")
    if min(prices) <= 0:
        raise Undefined("not_positive", "Every purchase price must be above 0.")
    if given.amount_per_purchase <= 0:
        raise Undefined("not_positive", "amount_per_purchase must be above 0.")
    units = sum((given.amount_per_purchase / price for price in prices), Decimal(0))
    return _bought(units, given.amount_per_purchase * len(prices), len(prices), given.final_price)


class AverageCost(Inputs):
    purchases: Annotated[Pairs, about("Pairs of units and price per unit.")]
    final_price: Number | None = None


@calculator(
    "Average cost",
    formula="average cost = Σ(units·price)/Σ units",
    sources=["IRS Publication 550, Investment Income and Expenses: average basis, "
             "https://www.irs.gov/publications/p550"],
    assumptions=["Fees and taxes are left out."],
)  # fmt: skip
def average_cost(given: AverageCost) -> Worked:
    """The average price paid per unit over several purchases, and the gain at a final price."""
    if not given.purchases:
        raise Undefined("too_few_observations", "Nothing was bought.")
    if any(units <= 0 or price < 0 for units, price in given.purchases):
        raise Undefined("not_positive", "Units must be above 0, and prices not below 0.")
    units = sum((units for units, _ in given.purchases), Decimal(0))
    invested = sum((units * price for units, price in given.purchases), Decimal(0))
    return _bought(units, invested, len(given.purchases), given.final_price)


def _bought(units: Decimal, invested: Decimal, count: int, final_price: Decimal | None) -> Worked:
    average = invested / units
    steps = [
        f"{count} purchases, {money(invested)} in all, for {number(units)} units",
        f"average cost = {money(invested)} / {number(units)} = {money(average)}",
    ]
    result = {"units": units, "invested": invested, "average_cost": average}
    if final_price is not None:
        if final_price < 0:
            raise Undefined("negative", "final_price must not be below 0.")
        value = units * final_price
        result |= {"final_value": value, "gain": value - invested}
        steps.append(f"final value = {number(units)} × {money(final_price)} = {money(value)}")
        steps.append(f"gain = {money(value)} − {money(invested)} = {money(value - invested)}")
    return Worked(result=result, steps=steps)
