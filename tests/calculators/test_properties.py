"""What holds for every input."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import pyxirr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ai_investment.calculators.calculator import Calculation
from ai_investment.calculators.registry import CALCULATORS
from ai_investment.calculators.tools import call
from ai_investment.errors import Malformed

START = date(2000, 1, 1)
AMOUNTS = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100)
FLOWS = st.lists(st.tuples(st.integers(0, 15_000), AMOUNTS), max_size=30)


def run(name: str, **inputs: Any) -> Calculation:
    return call(name, json.dumps(inputs))


def dated(flows: list[tuple[int, float]], scale: float = 1) -> list[list[Any]]:
    return [[(START + timedelta(days=day)).isoformat(), amount * scale] for day, amount in flows]


@given(FLOWS)
@settings(max_examples=400, deadline=None)
def test_a_rate_makes_the_flows_add_up_to_nothing(flows: list[tuple[int, float]]) -> None:
    done = run("xirr", flows=dated(flows))
    if done.result is None:
        assert done.reason
        return
    assert isinstance(done.result, float)
    # Nearer to -1 a float has no digits left to tell rates apart.
    assume(done.result > -0.9999)
    first, last = min(flows)[0], max(flows)[0]
    growth = math.log1p(done.result)
    # Worth at the end, or at the beginning, whichever does not overflow.
    at = first if growth > 0 else last
    terms = [amount * math.exp(-growth * (day - at) / 365) for day, amount in flows]
    assert abs(math.fsum(terms)) <= 1e-8 * math.fsum(map(abs, terms))


@given(FLOWS, st.randoms(use_true_random=False), st.sampled_from([-1, 1e-6, 1000, 1e12]))
@settings(max_examples=150, deadline=None)
def test_order_and_currency_of_flows_do_not_change_the_rate(
    flows: list[tuple[int, float]], dice: Any, scale: float
) -> None:
    done = run("xirr", flows=dated(flows))
    shuffled = flows.copy()
    dice.shuffle(shuffled)
    assert run("xirr", flows=dated(shuffled)).result == done.result
    other = run("xirr", flows=dated(flows, scale)).result
    assert other == (done.result if done.result is None else pytest.approx(done.result, rel=1e-7, abs=1e-10))  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.floats(-1e5, -1)), min_size=1, max_size=20),
    st.integers(60, 2000),
    st.floats(1, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_plain_saving_has_the_rate_that_pyxirr_finds(
    deposits: list[tuple[int, float]], later: int, value: float
) -> None:
    end = max(day for day, _ in deposits) + later
    flows = [*deposits, (end, value)]
    when = [START + timedelta(days=day) for day, _ in flows]
    theirs = pyxirr.xirr(when, [amount for _, amount in flows])
    # It gives up on some; where it answers it is right.
    assume(theirs is not None and math.isfinite(theirs) and theirs > -1)
    assert run("xirr", flows=dated(flows)).result == pytest.approx(theirs, rel=1e-5, abs=1e-8)


def _written(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _written(item)
    elif isinstance(value, float):
        yield value


NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e-30, 1e30, -1e30, 0.1 + 0.2]),
)
DATES = st.dates().map(date.isoformat)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "deposit_at_start": st.booleans(),
    "start": DATES,
    "end": DATES,
    "flows": st.lists(st.tuples(DATES, NUMBERS), max_size=8),
    "purchases": st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8),
    "steps": st.lists(st.fixed_dictionaries({"value_before_flow": NUMBERS, "flow": NUMBERS}), max_size=5),
    "prices": st.lists(st.tuples(DATES, st.none() | NUMBERS), max_size=8),
    "purchase_prices": st.lists(st.none() | NUMBERS, max_size=8),
    "returns": st.lists(st.none() | NUMBERS, max_size=8),
    "benchmark": st.lists(st.none() | NUMBERS, max_size=8),
    "returns_by_date": st.dictionaries(DATES, NUMBERS, max_size=8),
    "benchmark_by_date": st.dictionaries(DATES, NUMBERS, max_size=8),
}  # fmt: skip


@pytest.mark.parametrize("name", CALCULATORS)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_whatever_comes_in_a_finite_number_or_a_reason_or_a_fault_comes_out(
    name: str, data: st.DataObject
) -> None:
    calculator = CALCULATORS[name]
    required = {"returns", "benchmark"} if name == "beta" else {"prices"} if name == "max_drawdown" else set()  # fmt: skip
    inputs = {
        field: data.draw(NUMBERS if name == "cagr" else FIELDS.get(field, NUMBERS), label=field)
        for field in calculator.inputs.__struct_fields__
        if field in required or (field not in ("returns", "returns_by_date", "benchmark_by_date"))
    }
    if name == "max_drawdown" and data.draw(st.booleans()):
        inputs["returns"] = inputs.pop("prices")
    try:
        done = run(name, **inputs)
    except Malformed as fault:
        # Numbers beyond 1e30 or below 1e-30, and both ways of asking at once.
        assert "beyond" in fault.detail or "not both" in fault.detail  # noqa: PT017
        return
    assert (done.result is None) == (done.reason is not None)
    assert all(map(math.isfinite, [*_written(done.result), *_written(done.details)]))
    assert done.result is None or done.steps
