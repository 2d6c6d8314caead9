"""Sums and equal payments at a steady rate: compound interest, savings goals, loans."""

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

_ZERO, _ONE = Decimal(0), Decimal(1)
_STEADY = "The rate stays the same all the time: an assumption, not a promise."
_NOMINAL = "annual_rate is nominal: each period earns annual_rate / periods_per_year."
_NOTHING_ELSE = "Taxes, fees and inflation are left out."
_ANNUITY = (
    "Brealey, Myers, Allen: Principles of Corporate Finance, ch. 2 (future values, annuities)"
)

AtStart = Annotated[
    bool, about("True: a deposit comes at the start of its period and earns in it.")
]


class CompoundInterest(Inputs):
    principal: Number
    annual_rate: Rate
    years: Number
    periods_per_year: Number = _ONE
    deposit_per_period: Number = _ZERO
    deposit_at_start: AtStart = False


@calculator(
    "Compound interest",
    formula="FV = P·(1+i)^n + D·((1+i)^n − 1)/i · (1+i if deposits come at the start); "
    "i = annual_rate/m, n = m·years",
    sources=[
        "SEC, Investor.gov: Compound Interest Calculator, "
        "https://www.investor.gov/financial-tools-calculators/calculators/compound-interest-calculator",
        _ANNUITY,
    ],
    assumptions=[_STEADY, _NOMINAL, _NOTHING_ELSE],
)
def compound_interest(given: CompoundInterest) -> Worked:
    """The value of a sum, with deposits each period, after years of compound interest."""
    rate, periods = _periods(given.annual_rate, given.periods_per_year, given.years)
    growth = power(1 + rate, periods)
    annuity = _annuity(rate, periods) * (1 + rate if given.deposit_at_start else 1)
    from_principal, from_deposits = given.principal * growth, given.deposit_per_period * annuity
    value = from_principal + from_deposits
    paid_in = given.principal + given.deposit_per_period * periods
    steps = [
        f"i = {percent(given.annual_rate)} / {number(given.periods_per_year)} = {percent(rate)} per period",
        f"n = {number(given.periods_per_year)} × {number(given.years)} = {number(periods)} periods",
        f"principal: {money(given.principal)} × (1 + i)^n = {money(from_principal)}",
    ]
    if given.deposit_per_period:
        steps.append(
            f"deposits: {money(given.deposit_per_period)} × {number(annuity)} = {money(from_deposits)}"
        )
    steps.append(
        f"total = {money(value)}: {money(paid_in)} paid in, {money(value - paid_in)} interest"
    )
    return Worked(
        result=value, steps=steps, details={"paid_in": paid_in, "interest": value - paid_in}
    )


class SavingsGoal(Inputs):
    goal: Number
    annual_rate: Rate
    principal: Annotated[Number, about("What is there already.")] = _ZERO
    years: Annotated[
        Number | None, about("Given: the deposit is found. Left out: the time is found.")
    ] = None
    deposit_per_period: Annotated[Number, about("Only when years is left out.")] = _ZERO
    periods_per_year: Number = Decimal(12)
    deposit_at_start: AtStart = False

    def __post_init__(self) -> None:
        if self.years is not None and self.deposit_per_period:
            raise ValueError("give years (to find the deposit) or deposit_per_period, not both")


@calculator(
    "Savings goal",
    formula="D = (G − P·(1+i)^n)·i/((1+i)^n − 1), or n = ln((G·i + D)/(P·i + D))/ln(1+i); "
    "i = annual_rate/m; D becomes D·(1+i) when deposits come at the start",
    sources=["SEC, Investor.gov: Savings Goal Calculator, "
             "https://www.investor.gov/financial-tools-calculators/calculators/savings-goal-calculator",
             _ANNUITY],
    assumptions=[_STEADY, _NOMINAL, _NOTHING_ELSE],
)  # fmt: skip
def savings_goal(given: SavingsGoal) -> Worked:
    """The deposit per period that reaches a goal in a given time, or the time that given deposits take."""
    rate, periods = _periods(given.annual_rate, given.periods_per_year, given.years or _ZERO)
    at_start = 1 + rate if given.deposit_at_start else _ONE
    if given.principal >= given.goal:
        deposit, years = _ZERO, _ZERO if given.years is None else given.years
        steps = [f"{money(given.principal)} is already the goal of {money(given.goal)}"]
    elif given.years is not None:
        if not periods:
            raise Undefined("never_reached", "No time is left, and the goal is not reached yet.")
        missing = given.goal - given.principal * power(1 + rate, periods)
        annuity = _annuity(rate, periods) * at_start
        if not annuity:
            raise Undefined("never_reached", "Deposits are lost as soon as they are made.")
        deposit, years = max(missing / annuity, _ZERO), given.years
        steps = [
            f"still missing after growth alone: {money(missing)}",
            f"one unit deposited each period becomes {number(annuity)}",
            f"deposit per period = {money(deposit)}",
        ]
    else:
        deposit = given.deposit_per_period
        needed = _periods_to(given.goal, given.principal, rate, deposit * at_start)
        periods, years = needed, needed / given.periods_per_year
        steps = [
            f"i = {percent(rate)} per period",
            f"n = {number(needed)} periods = {number(years)} years",
        ]
    paid_in = given.principal + deposit * periods
    return Worked(
        result={"deposit_per_period": deposit, "years": years},
        steps=steps,
        details={"paid_in": paid_in, "interest": given.goal - paid_in},
    )


def _periods_to(goal: Decimal, principal: Decimal, rate: Decimal, deposit: Decimal) -> Decimal:
    never = Undefined(
        "never_reached", "At this rate and with these deposits the goal is never reached."
    )
    if not rate:
        if deposit <= 0:
            raise never
        return (goal - principal) / deposit
    now, then = principal * rate + deposit, goal * rate + deposit
    if now == 0 or then / now <= 0 or 1 + rate <= 0:
        raise never
    periods = (then / now).ln() / (1 + rate).ln()
    if periods < 0:
        raise never
    return periods


class Loan(Inputs):
    principal: Number
    annual_rate: Rate
    years: Number
    periods_per_year: Number = Decimal(12)


@calculator(
    "Loan payment",
    formula="payment = P·i/(1 − (1+i)^−n); i = annual_rate/m, n = m·years (P/n without interest)",
    sources=[_ANNUITY],
    assumptions=[
        "Equal payments at the end of each period, at a fixed rate.",
        "Payments are not rounded to the cent; a lender rounds, and the last payment differs a little.",
        "The lender's other charges are left out.",
    ],
)
def loan(given: Loan) -> Worked:
    """The equal payment per period that pays a loan back, and what its interest costs in all."""
    rate, periods = _periods(given.annual_rate, given.periods_per_year, given.years)
    if not periods:
        raise Undefined("not_positive", "years must be above 0.")
    if rate <= -1:
        raise Undefined("not_positive", "The rate per period must be above -100%.")
    # The annuity's present value is its future value, discounted.
    payment = given.principal * power(1 + rate, periods) / _annuity(rate, periods)
    total = payment * periods
    steps = [
        f"i = {percent(given.annual_rate)} / {number(given.periods_per_year)} = {percent(rate)} per period",
        f"n = {number(periods)} payments",
        f"payment = {money(payment)}",
        f"paid in all: {money(total)}, of which {money(total - given.principal)} interest",
    ]
    result = {"payment": payment, "total_paid": total, "total_interest": total - given.principal}
    return Worked(result=result, steps=steps)


def _periods(
    annual_rate: Decimal, periods_per_year: Decimal, years: Decimal
) -> tuple[Decimal, Decimal]:
    """Rate per period and number of periods; raises Undefined when they mean nothing."""
    if periods_per_year <= 0:
        raise Undefined("not_positive", "periods_per_year must be above 0.")
    rate = annual_rate / periods_per_year
    if rate < -1:
        raise Undefined("not_positive", "A period cannot lose more than 100%.")
    return rate, not_negative(years, "years") * periods_per_year


def _annuity(rate: Decimal, periods: Decimal) -> Decimal:
    """The value of 1 paid at the end of each period, at the end of the last; `periods` need not be whole."""
    # Below this the difference of two powers has no digits left.
    if abs(rate * periods) < Decimal("1e-25"):
        return periods
    return (power(1 + rate, periods) - 1) / rate
