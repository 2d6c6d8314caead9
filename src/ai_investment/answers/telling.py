"""A calculation in plain sentences, with what it assumes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import ceil
from typing import Any

import msgspec

from ai_investment.answers.roles import Roles
from ai_investment.calculators.calculator import Calculation, number, percent

ASSUMED_RETURN = Decimal("0.05")
"""Only to compare fees when the question gives no return; the sentence says so."""

_TIMES = {1: "year", 4: "quarter", 12: "month", 52: "week", 365: "day"}
_COMPOUNDED = {1: "once a year", 4: "every quarter", 12: "monthly", 52: "weekly", 365: "daily"}
_MULTIPLES = {2: "doubles", 3: "triples", 4: "quadruples"}
_LEFT_OUT = "Taxes, fees and inflation are left out."


class Sum(msgspec.Struct, frozen=True):
    """What a question asks to compute."""

    name: str
    inputs: dict[str, Any]


class _Told(msgspec.Struct, frozen=True):
    inputs: dict[str, Any]
    done: Calculation
    currency: str
    known: Roles

    def cash(self, value: Any) -> str:
        return f"{self.currency}{value:,.2f}".removesuffix(".00")

    @property
    def rate(self) -> str:
        """The rate as the question gave it."""
        times = self.known.rate_per_year
        return f"{percent(self.inputs['annual_rate'] / times)} a {_TIMES[times]}"

    @property
    def every(self) -> str:
        return f"every {_TIMES[int(self.inputs['periods_per_year'])]}"

    @property
    def compounded(self) -> str:
        return f"compounded {_COMPOUNDED[int(self.inputs['periods_per_year'])]}"

    @property
    def values(self) -> dict[str, Any]:
        assert isinstance(self.done.result, dict)
        return self.done.result


def tell(asked: Sum, done: Calculation, *, currency: str, known: Roles) -> str:
    """What was computed, in two or three sentences a beginner can read."""
    return _TELLING[asked.name](_Told(asked.inputs, done, currency, known))


def _no_promise(rate: str) -> str:
    return f"The {rate} is an assumption, not a promise: real returns go up and down."


def _time(years: Decimal | float) -> str:
    months = round(float(years) * 12, 6)
    if float(years) != int(years) and months == int(months) and months < 36:
        return "1 month" if months == 1 else f"{int(months)} months"
    return "1 year" if years == 1 else f"{number(years)} years"


def _growth(told: _Told) -> str:
    given, details, paid = told.inputs, told.done.details, []
    if given["principal"]:
        paid.append(told.cash(given["principal"]))
    if given.get("deposit_per_period"):
        when = "start" if given["deposit_at_start"] else "end"
        unit = told.every.removeprefix("every ")
        at = f" (at the {when} of the {unit})"
        paid.append(f"{told.cash(given['deposit_per_period'])} {told.every}{at}")
    return (
        f"Investing {' at once and '.join(paid)} for {_time(given['years'])} at {told.rate}, {told.compounded}, "
        f"comes to {told.cash(told.done.result)}. Of that, {told.cash(details['paid_in'])} is paid in and "
        f"{told.cash(details['interest'])} is growth. {_no_promise(told.rate)} {_LEFT_OUT}"
    )


def _goal(told: _Told) -> str:
    given, values = told.inputs, told.values
    principal, deposit = given.get("principal"), given.get("deposit_per_period")
    start = f"starting with {told.cash(principal)}" if principal else "starting with nothing"
    if not given["annual_rate"]:
        return _put_by(told, start)
    end = f"{_no_promise(told.rate)} {_LEFT_OUT}"
    if "years" in given:
        return (
            f"To have {told.cash(given['goal'])} in {_time(given['years'])} at {told.rate}, {start}, takes "
            f"{told.cash(values['deposit_per_period'])} {told.every}. {end}"
        )
    long = f"about {values['years']:.1f} years"
    if principal == 1 and not deposit:
        return f"At {told.rate}, {told.compounded}, money {_MULTIPLES[int(given['goal'])]} in {long}. {end}"
    adding = f" and adding {told.cash(deposit)} {told.every}" if deposit else ""
    return (
        f"Reaching {told.cash(given['goal'])} at {told.rate}, {start}{adding}, takes {long}. {end}"
    )


def _put_by(told: _Told, start: str) -> str:
    """A goal that is saved for without any interest."""
    given, deposit = told.inputs, told.values["deposit_per_period"]
    goal, saving = told.cash(given["goal"]), f"{told.cash(deposit)} {told.every}"
    if "years" in given:
        time = _time(given["years"])
        return f"To have {goal} in {time}, {start} and without interest, takes {saving}. Interest would make it less."
    unit = told.every.removeprefix("every ")
    count = ceil(round(float(told.values["years"]) * int(given["periods_per_year"]), 6))
    time = f"1 {unit}" if count == 1 else f"{count} {unit}s"
    return (
        f"Putting by {saving}, {start}, reaches {goal} after {time}. "
        "That is without interest, which would make it sooner."
    )


def _fees(told: _Told) -> str:
    given, values = told.inputs, told.values
    other, growth = given.get("other_annual_fee"), percent(given["annual_return"])
    against = f"a fee of {percent(other)}" if other else "no fee"
    return (
        f"{told.cash(given['principal'])} invested for {_time(given['years'])} with a yearly fee of "
        f"{percent(given['annual_fee'])} ends at {told.cash(values['value'])}; with {against} it ends at "
        f"{told.cash(values['other_value'])}. The difference is {told.cash(values['cost'])}, or "
        f"{values['cost_fraction'] * 100:.1f}% of the larger sum. {_assumed(told, growth)} Taxes and inflation are left out."
    )


def _assumed(told: _Told, growth: str) -> str:
    if told.known.growth is None:
        return (
            f"The question gives no return, so {growth} a year before fees is assumed. "
            f"{_no_promise(growth)}"
        )
    return _no_promise(f"{growth} a year before fees")


def _inflation(told: _Told) -> str:
    given, values = told.inputs, told.values
    rate, amount = percent(given["annual_rate"]), told.cash(given["amount"])
    return (
        f"With prices rising {rate} a year for {_time(given['years'])}, {amount} will buy only what "
        f"{told.cash(values['buying_power'])} buys today, and what costs {amount} today will cost "
        f"{told.cash(values['future_cost'])}. The {rate} is an assumption, not a promise: inflation changes "
        "from year to year."
    )


def _loan(told: _Told) -> str:
    given, values = told.inputs, told.values
    return (
        f"Paying back {told.cash(given['principal'])} at {told.rate} over {_time(given['years'])} takes equal "
        f"payments of {told.cash(values['payment'])} {told.every}. In all that is {told.cash(values['total_paid'])}, "
        f"of which {told.cash(values['total_interest'])} is interest. The rate is taken as fixed, and the lender's "
        "other charges are left out."
    )


def _cagr(told: _Told) -> str:
    given, rate = told.inputs, told.done.result
    assert isinstance(rate, float)
    begin, end = given["begin"], given["end"]
    if begin == 1 and end in _MULTIPLES:
        way = f"Money that {_MULTIPLES[int(end)]} in {_time(given['years'])} grows"
    else:
        way = f"Going from {told.cash(begin)} to {told.cash(end)} in {_time(given['years'])} is a growth of"
    total = float(str(told.done.details["total_return"]))
    return (
        f"{way} {rate * 100:.2f}% a year (CAGR), {total * 100:.2f}% in all. Nothing may be paid in or taken out "
        "in between. It says nothing about how bumpy the way was, nor about what comes next."
    )


def _average(told: _Told) -> str:
    values = told.values
    return (
        f"Paying {told.cash(values['invested'])} for {number(values['units'])} units is an average cost of "
        f"{told.cash(values['average_cost'])} each. Fees and taxes are left out."
    )


_TELLING: dict[str, Callable[[_Told], str]] = {
    "compound_interest": _growth,
    "savings_goal": _goal,
    "fee_drag": _fees,
    "inflation": _inflation,
    "loan": _loan,
    "cagr": _cagr,
    "average_cost": _average,
}
