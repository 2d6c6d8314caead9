"""Cases made at random, and the same numbers found in other ways: closed forms, loops, numpy, scipy."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import numpy_financial as npf
from scipy.optimize import brentq

Inputs = dict[str, Any]
START = date(2010, 1, 4)


def day(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def amount(dice: random.Random) -> float:
    """From cents to billions."""
    return round(10 ** dice.uniform(0, 9), 2)


def walk(dice: random.Random, length: int) -> list[list[Any]]:
    """Dated prices, some missing, not in order."""
    price = dice.uniform(0.5, 500)
    prices: list[list[Any]] = []
    for number in range(length):
        price *= 1 + dice.gauss(0.0003, dice.choice([0.002, 0.02, 0.08]))
        price = max(price, 0.01)
        missing = dice.random() < 0.05
        prices.append([day(number), None if missing else round(price, 4)])
    dice.shuffle(prices)
    return prices


def known(prices: list[list[Any]]) -> tuple[list[str], np.ndarray[Any, Any]]:
    pairs: list[list[Any]] = sorted(pair for pair in prices if pair[1] is not None)
    return [when for when, _ in pairs], np.array([price for _, price in pairs])


def returns(given: Inputs) -> np.ndarray[Any, Any]:
    if "returns" in given:
        return np.array(given["returns"])
    _, prices = known(given["prices"])
    return np.array(np.diff(prices) / prices[:-1])


def some_returns(dice: random.Random) -> Inputs:
    periods = dice.choice([12, 52, 252, 365])
    if dice.random() < 0.5:
        return {"prices": walk(dice, dice.randint(5, 80)), "periods_per_year": periods}
    values = [dice.gauss(0.001, 0.03) for _ in range(dice.randint(2, 60))]
    return {"returns": values, "periods_per_year": periods}


def make_xirr(dice: random.Random) -> Inputs:
    """Deposits and some withdrawals, several on a day, ending with the value: one rate, or many."""
    span = dice.randint(40, 9000)
    size = amount(dice)
    flows: list[list[Any]] = [[day(0), -size]]
    for _ in range(dice.randint(0, 25)):
        flow = -size * dice.uniform(0.01, 1) if dice.random() < 0.8 else size * dice.uniform(0, 0.5)
        flows.append([day(dice.randint(0, span)), round(flow, 2)])
    paid_in = -sum(flow for _, flow in flows)
    flows.append([day(span), round(max(paid_in, size * 0.1) * dice.lognormvariate(0.1, 1), 2)])
    dice.shuffle(flows)
    return {"flows": flows}


def xirr(given: Inputs) -> float | None:
    """The root nearest to 0 of a fine grid in ln(1+r), by Brent's method."""
    total: dict[str, float] = {}
    for when, flow in given["flows"]:
        total[when] = total.get(when, 0.0) + flow
    days = np.array([(date.fromisoformat(when) - START).days for when in total])
    flows = np.array(list(total.values()))
    years = (days - days.min()) / 365

    def worth(log_rate: Any) -> Any:
        exponents = -np.multiply.outer(log_rate, years - years.max() * (np.max(log_rate) <= 0))
        return np.exp(exponents) @ flows

    steps = np.concatenate([np.linspace(0, 3, 1501), np.geomspace(3, 60, 200)[1:]])
    turns = [np.flatnonzero(np.diff(np.sign(worth(side * steps)))) for side in (1, -1)]
    found = [(turn[0], side) for turn, side in zip(turns, (1, -1), strict=True) if len(turn)]
    if not found:
        return None
    at, side = min(found)
    ends = side * steps[at], side * steps[at + 1]
    rate = float(np.expm1(brentq(worth, *ends, xtol=1e-15, rtol=1e-14)))
    return rate if rate > -1 else None


def make_twr(dice: random.Random) -> Inputs:
    value = amount(dice)
    steps: list[Inputs] = []
    given: Inputs = {"start_value": value, "steps": steps}
    for _ in range(dice.randint(0, 12)):
        value = round(value * dice.uniform(0.7, 1.4), 2)
        flow = round(value * dice.uniform(-0.5, 1), 2)
        steps.append({"value_before_flow": value, "flow": flow})
        value += flow
    return {**given, "end_value": round(value * dice.uniform(0.7, 1.4), 2)}


def twr(given: Inputs) -> float:
    """Log returns added up."""
    after = [given["start_value"], *(s["value_before_flow"] + s["flow"] for s in given["steps"])]
    before = [*(s["value_before_flow"] for s in given["steps"]), given["end_value"]]
    return float(np.expm1(np.sum(np.log(before) - np.log(after))))


def make_dietz(dice: random.Random) -> Inputs:
    begin, span = amount(dice), dice.randint(1, 2000)
    flows = [
        [day(dice.randint(0, span)), round(begin * dice.uniform(-0.05, 0.6), 2)]
        for _ in range(dice.randint(0, 12))
    ]
    end = round(begin * dice.uniform(0.4, 3), 2)
    return {
        "begin_value": begin,
        "end_value": end,
        "start": day(0),
        "end": day(span),
        "flows": flows,
    }


def dietz(given: Inputs) -> float:
    start, end = date.fromisoformat(given["start"]), date.fromisoformat(given["end"])
    total = weighted = Fraction(0)
    for when, flow in given["flows"]:
        passed = (date.fromisoformat(when) - start).days
        total += Fraction(flow)
        weighted += Fraction(flow) * (1 - Fraction(passed, (end - start).days))
    begin = Fraction(given["begin_value"])
    return float((Fraction(given["end_value"]) - begin - total) / (begin + weighted))


def volatility(given: Inputs) -> float:
    return float(np.std(returns(given), ddof=1) * np.sqrt(given["periods_per_year"]))


def make_sharpe(dice: random.Random) -> Inputs:
    return {**some_returns(dice), "rf_per_period": dice.uniform(0, 0.002)}


def sharpe(given: Inputs) -> float:
    excess = returns(given) - given["rf_per_period"]
    return float(excess.mean() / excess.std(ddof=1) * given["periods_per_year"] ** 0.5)


def make_sortino(dice: random.Random) -> Inputs:
    given = some_returns(dice)
    # At least one return is below the target.
    return {**given, "target_per_period": max(0.0, float(returns(given).min()) + 0.001)}


def sortino(given: Inputs) -> float:
    excess = returns(given) - given["target_per_period"]
    below = np.linalg.norm(np.minimum(excess, 0)) / np.sqrt(len(excess))
    return float(excess.mean() / below * np.sqrt(given["periods_per_year"]))


def drawdown(given: Inputs) -> dict[str, Any]:
    """All pairs of days compared."""
    days, prices = known(given["prices"])
    falls = np.triu(prices[None, :] / prices[:, None] - 1, 1)
    worst = float(falls.min())
    if worst >= 0:
        return {"max_drawdown": 0.0, "peak_date": None, "trough_date": None, "recovery_date": None}
    trough = int(np.argmax(falls.min(axis=0) == worst))
    peak = int(np.argmax(falls[:, trough] == worst))
    later = [when for when, price in zip(days, prices, strict=True) if when > days[trough] and price >= prices[peak]]  # fmt: skip
    return {"max_drawdown": worst, "peak_date": days[peak], "trough_date": days[trough],
            "recovery_date": later[0] if later else None}  # fmt: skip


def make_beta(dice: random.Random) -> Inputs:
    length = dice.randint(3, 80)
    market = [dice.gauss(0, 0.02) for _ in range(length)]
    own = [dice.uniform(-1, 2) * change + dice.gauss(0, 0.01) for change in market]
    if dice.random() < 0.5:
        return {"returns": own, "benchmark": market}
    dates = [day(number) for number in range(length)]
    # Each has a day that the other has not.
    ours = [*zip(dates, own, strict=True), (day(length), 0.5)]
    theirs = [*zip(dates, market, strict=True), (day(length + 1), -0.5)]
    dice.shuffle(ours)
    dice.shuffle(theirs)
    return {"returns_by_date": ours, "benchmark_by_date": dict(theirs)}


def beta(given: Inputs) -> float:
    if "returns" in given:
        pairs = list(zip(given["returns"], given["benchmark"], strict=True))
    else:
        own, market = dict(given["returns_by_date"]), dict(given["benchmark_by_date"])
        pairs = [(own[when], market[when]) for when in own if when in market]
    slope, _ = np.polyfit([b for _, b in pairs], [a for a, _ in pairs], 1)
    return float(slope)


def make_cagr(dice: random.Random) -> Inputs:
    return {"begin": amount(dice), "end": amount(dice), "years": dice.uniform(0.5, 60)}


def cagr(given: Inputs) -> float:
    return float(np.expm1(np.log(given["end"] / given["begin"]) / given["years"]))


def make_compound(dice: random.Random) -> Inputs:
    per_year = dice.choice([1, 2, 4, 12, 52, 365])
    return {
        "principal": amount(dice), "annual_rate": dice.choice([0, 0, dice.uniform(-0.3, 0.6)]),
        "periods_per_year": per_year, "years": dice.choice([dice.randint(0, 50), dice.uniform(0, 20)]),
        "deposit_per_period": dice.choice([0, amount(dice)]), "deposit_at_start": dice.random() < 0.5,
    }  # fmt: skip


def compound(given: Inputs) -> float:
    rate = given["annual_rate"] / given["periods_per_year"]
    when = "begin" if given["deposit_at_start"] else "end"
    periods = given["years"] * given["periods_per_year"]
    with np.errstate(invalid="ignore"):  # without interest it divides by 0 before it looks
        value = npf.fv(rate, periods, -given["deposit_per_period"], -given["principal"], when)
    return float(value)


def make_dca(dice: random.Random) -> Inputs:
    prices = [round(dice.uniform(0.5, 400), 2) for _ in range(dice.randint(1, 60))]
    return {"amount_per_purchase": round(dice.uniform(1, 5000), 2), "purchase_prices": prices,
            "final_price": round(dice.uniform(0, 400), 2)}  # fmt: skip


def dca(given: Inputs) -> dict[str, float]:
    paid, prices = Fraction(given["amount_per_purchase"]), map(Fraction, given["purchase_prices"])
    units = sum((paid / price for price in prices), Fraction(0))
    invested = paid * len(given["purchase_prices"])
    value = units * Fraction(given["final_price"])
    found = {"units": units, "invested": invested, "average_cost": invested / units,
             "final_value": value, "gain": value - invested}  # fmt: skip
    return {name: float(value) for name, value in found.items()}


def make_loan(dice: random.Random) -> Inputs:
    return {"principal": amount(dice), "annual_rate": dice.choice([0, dice.uniform(0.001, 0.4)]),
            "years": dice.randint(1, 40), "periods_per_year": dice.choice([1, 4, 12])}  # fmt: skip


def loan(given: Inputs) -> dict[str, float]:
    periods = given["years"] * given["periods_per_year"]
    rate = given["annual_rate"] / given["periods_per_year"]
    with np.errstate(invalid="ignore"):
        payment = -float(npf.pmt(rate, periods, given["principal"]))
    return {"payment": payment, "total_paid": payment * periods,
            "total_interest": payment * periods - given["principal"]}  # fmt: skip


def make_goal(dice: random.Random) -> Inputs:
    goal = amount(dice) + 10
    given = {"goal": goal, "principal": goal * dice.uniform(0, 0.5), "annual_rate": dice.uniform(0.001, 0.2),
             "deposit_at_start": dice.random() < 0.5}  # fmt: skip
    if dice.random() < 0.5:
        return {**given, "years": dice.randint(1, 5)}
    return {**given, "deposit_per_period": goal * dice.uniform(0.001, 0.2)}


def goal(given: Inputs) -> dict[str, float]:
    rate, when = given["annual_rate"] / 12, "begin" if given["deposit_at_start"] else "end"
    if "years" in given:
        payment = npf.pmt(rate, given["years"] * 12, -given["principal"], given["goal"], when)
        # A sum that outgrows the goal needs no deposit.
        return {"deposit_per_period": max(-float(payment), 0.0), "years": given["years"]}
    periods = npf.nper(rate, -given["deposit_per_period"], -given["principal"], given["goal"], when)
    return {"deposit_per_period": given["deposit_per_period"], "years": float(periods) / 12}


def make_fees(dice: random.Random) -> Inputs:
    return {"principal": amount(dice), "annual_return": dice.uniform(-0.1, 0.15), "annual_fee": dice.uniform(0, 0.03),
            "other_annual_fee": dice.uniform(0, 0.01), "years": dice.randint(0, 50)}  # fmt: skip


def fees(given: Inputs) -> dict[str, float]:
    """Year by year."""
    value = other = given["principal"]
    for _ in range(given["years"]):
        value += value * given["annual_return"]
        value -= value * given["annual_fee"]
        other += other * given["annual_return"]
        other -= other * given["other_annual_fee"]
    return {"value": value, "other_value": other, "cost": other - value, "cost_fraction": 1 - value / other}  # fmt: skip


def make_inflation(dice: random.Random) -> Inputs:
    return {"amount": amount(dice), "annual_rate": dice.uniform(-0.05, 0.5), "years": dice.randint(0, 60)}  # fmt: skip


def inflation(given: Inputs) -> dict[str, float]:
    level = float(np.prod(np.full(given["years"], 1 + given["annual_rate"])))
    return {"future_cost": given["amount"] * level, "buying_power": given["amount"] / level}


Make = Callable[[random.Random], Inputs]
Find = Callable[[Inputs], Any]
METRICS: dict[str, tuple[Make, Find]] = {
    "xirr": (make_xirr, xirr),
    "twr": (make_twr, twr),
    "modified_dietz": (make_dietz, dietz),
    "annualised_volatility": (some_returns, volatility),
    "sharpe": (make_sharpe, sharpe),
    "sortino": (make_sortino, sortino),
    "max_drawdown": (lambda dice: {"prices": walk(dice, dice.randint(4, 60))}, drawdown),
    "beta": (make_beta, beta),
    "cagr": (make_cagr, cagr),
    "compound_interest": (make_compound, compound),
    "dca": (make_dca, dca),
    "loan": (make_loan, loan),
    "savings_goal": (make_goal, goal),
    "fee_drag": (make_fees, fees),
    "inflation": (make_inflation, inflation),
}


def cases(each: int, seed: int) -> Iterator[dict[str, Any]]:
    """Lines of a batch."""
    dice = random.Random(seed)
    for metric, (make, _) in METRICS.items():
        for number in range(each):
            yield {"id": f"{metric}-{number}", "metric": metric, "inputs": make(dice)}
