"""What a portfolio earned: time-weighted return and modified Dietz."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec

from ai_investment.calculators.calculator import (
    Undefined,
    Worked,
    calculator,
    money,
    number,
    percent,
)
from ai_investment.calculators.inputs import Flows, Inputs, Number, about

_GIPS = (
    "CFA Institute: Global Investment Performance Standards (GIPS) for Firms, 2020, "
    "https://www.gipsstandards.org/standards/gips-standards-for-firms/"
)


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flow of money, and the value just before it."""

    value_before_flow: Number
    flow: Annotated[Number, about("Paid in positive, taken out negative.")]


class Twr(Inputs):
    start_value: Number
    steps: Annotated[list[Step], msgspec.Meta(max_length=20_000)]
    end_value: Number


@calculator(
    "Time-weighted return",
    formula="TWR = Π (value before flow_k / value after flow_(k−1)) − 1",
    sources=[_GIPS],
    assumptions=["Each value stands just before its flow; paid in positive, taken out negative.",
                 "The return is for the whole period, not per year."],
)  # fmt: skip
def twr(given: Twr) -> Worked:
    """The time-weighted return of a period: what the investments earned, whatever was paid in or out."""
    base, growth, steps = given.start_value, Decimal(1), []
    ends = [*given.steps, Step(given.end_value, Decimal(0))]
    for k, step in enumerate(ends, 1):
        if base <= 0:
            raise Undefined(
                "not_positive", f"Part {k} begins with {money(base)}: it must be above 0."
            )
        if step.value_before_flow < 0:
            raise Undefined("negative", f"Part {k} ends below 0.")
        factor = step.value_before_flow / base
        steps.append(
            f"part {k}: {money(step.value_before_flow)} / {money(base)} = {number(factor)}"
        )
        growth *= factor
        base = step.value_before_flow + step.flow
    return Worked(
        result=growth - 1,
        steps=[*steps, f"product − 1 = {number(growth)} − 1 = {percent(growth - 1)}"],
    )


class ModifiedDietz(Inputs):
    begin_value: Number
    end_value: Number
    start: date
    end: date
    flows: Annotated[
        Flows, about("Pairs of ISO date and amount: paid in positive, taken out negative.")
    ] = []


@calculator(
    "Modified Dietz return",
    formula="R = (E − B − ΣF)/(B + Σ w·F); w = (days from the flow to the end)/(days of the period)",
    sources=["Peter O. Dietz: Pension Funds: Measuring Investment Performance, 1966", _GIPS],
    assumptions=["Flows come at the end of their day; paid in positive, taken out negative.",
                 "The return is for the whole period, not per year."],
)  # fmt: skip
def modified_dietz(given: ModifiedDietz) -> Worked:
    """The return of a period on the average capital at work, without values in between."""
    days = (given.end - given.start).days
    if days <= 0:
        raise Undefined("same_day" if not days else "negative", "end must be later than start.")
    total = weighted = Decimal(0)
    for day, flow in given.flows:
        left = (given.end - day).days
        if not 0 <= left <= days:
            raise Undefined("outside_period", f"The flow of {day} is not between start and end.")
        total += flow
        weighted += flow * left / days
    capital, gain = given.begin_value + weighted, given.end_value - given.begin_value - total
    if capital <= 0:
        raise Undefined(
            "no_capital", f"The average capital is {money(capital)}: it must be above 0."
        )
    return Worked(
        result=gain / capital,
        steps=[
            f"gain = {money(given.end_value)} − {money(given.begin_value)} − {money(total)} = {money(gain)}",
            f"average capital = {money(given.begin_value)} + {money(weighted)} = {money(capital)}",
            f"R = {money(gain)} / {money(capital)} = {percent(gain / capital)} in {days} days",
        ],
        details={"gain": gain, "average_capital": capital, "days": days},
    )
