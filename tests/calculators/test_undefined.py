"""Where there is no number, there is a reason; never 0, NaN or infinity."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ai_investment.calculators.calculator import Calculation
from ai_investment.calculators.tools import call

CASES = Path(__file__).parents[1] / "cases"


def run(name: str, **inputs: Any) -> Calculation:
    return call(name, json.dumps(inputs))


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


PRICES = [["2024-01-01", 100], ["2024-01-02", 90], ["2024-01-03", 120]]
UNDEFINED: list[tuple[str, dict[str, Any], str]] = [
    ("xirr", {"flows": []}, "one_sign"),
    ("xirr", {"flows": [["2024-05-06", -1800], ["2024-05-06", 1950]]}, "same_day"),
    ("xirr", {"flows": [["2024-05-06", -1800], ["2024-08-06", -1800]]}, "one_sign"),
    ("xirr", {"flows": [["2024-05-06", 1800], ["2024-08-06", 1800]]}, "one_sign"),
    ("xirr", {"flows": [["2024-05-06", 0], ["2024-08-06", 0]]}, "one_sign"),
    # A deposit taken out again on its day leaves one sign.
    ("xirr", {"flows": [["2024-05-06", -5], ["2024-05-06", 5], ["2025-05-06", 9]]}, "one_sign"),
    ("xirr", {"flows": [["2024-05-06", -1000], ["2024-05-07", 1080]]}, "too_short"),
    ("xirr", {"flows": [["2024-05-06", -1000], ["2024-05-13", 1100]]}, "too_short"),
    ("xirr", {"flows": [["2024-01-01", -100], ["2025-01-01", 150], ["2026-01-01", -100]]}, "no_rate"),
    ("xirr", {"flows": [["2024-01-01", -1e-25], ["2024-02-01", 1e30]]}, "too_large"),
    ("twr", {"start_value": 0, "steps": [], "end_value": 5}, "not_positive"),
    ("twr", {"start_value": 9, "steps": [{"value_before_flow": 5, "flow": -5}], "end_value": 5}, "not_positive"),
    ("twr", {"start_value": 9, "steps": [{"value_before_flow": 5, "flow": -8}], "end_value": 5}, "not_positive"),
    ("twr", {"start_value": 9, "steps": [], "end_value": -1}, "negative"),
    ("modified_dietz", {"begin_value": 0, "end_value": 9, "start": "2024-01-01", "end": "2024-02-01"}, "no_capital"),
    ("modified_dietz", {"begin_value": 100, "end_value": 9, "start": "2024-01-01", "end": "2024-01-31",
                        "flows": [["2024-01-01", -100]]}, "no_capital"),
    ("modified_dietz", {"begin_value": 100, "end_value": 9, "start": "2024-01-01", "end": "2024-01-01"}, "same_day"),
    ("modified_dietz", {"begin_value": 100, "end_value": 9, "start": "2024-01-02", "end": "2024-01-01"}, "negative"),
    ("modified_dietz", {"begin_value": 100, "end_value": 9, "start": "2024-01-01", "end": "2024-02-01",
                        "flows": [["2024-02-02", 5]]}, "outside_period"),
    ("annualised_volatility", {"returns": [0.1], "periods_per_year": 252}, "too_few_observations"),
    ("annualised_volatility", {"returns": [0.1, 0.2], "periods_per_year": 0}, "not_positive"),
    ("annualised_volatility", {"prices": PRICES[:2], "periods_per_year": 252}, "too_few_observations"),
    ("annualised_volatility", {"prices": [*PRICES, ["2024-01-04", 0]], "periods_per_year": 252}, "not_positive"),
    ("annualised_volatility", {"prices": [*PRICES, PRICES[0]], "periods_per_year": 252}, "duplicate_date"),
    ("sharpe", {"returns": [0.01] * 12, "periods_per_year": 12}, "zero_deviation"),
    ("sharpe", {"returns": [0.1 + 0.2, 0.3, 0.3], "periods_per_year": 12}, "zero_deviation"),
    ("sharpe", {"returns": [0, 0, 0], "periods_per_year": 12}, "zero_deviation"),
    ("sharpe", {"prices": [[f"2024-01-{n:02}", 100 * 1.001**n] for n in range(1, 30)], "periods_per_year": 252},
     "zero_deviation"),
    ("sortino", {"returns": [0.01, 0.02, 0.03], "periods_per_year": 12}, "zero_deviation"),
    ("sortino", {"returns": [0.3, 0.1 + 0.2], "periods_per_year": 12, "target_per_period": 0.1 + 0.2}, "zero_deviation"),
    ("max_drawdown", {"prices": []}, "too_few_observations"),
    ("max_drawdown", {"prices": [["2024-01-01", 5], ["2024-01-02", None]]}, "too_few_observations"),
    ("max_drawdown", {"prices": [["2024-01-01", 0], ["2024-01-02", 5]]}, "not_positive"),
    ("max_drawdown", {"prices": [["2024-01-01", 5], ["2024-01-02", -5]]}, "negative"),
    ("beta", {"returns": [0.1, 0.2, 0.3], "benchmark": [0.1, 0.1, 0.1]}, "zero_deviation"),
    ("beta", {"returns": [0.1, 0.2, 0.3], "benchmark": [0.1, 0.1]}, "lengths_differ"),
    ("beta", {"returns": [0.1], "benchmark": [0.1]}, "too_few_observations"),
    ("beta", {"returns_by_date": [["2024-01-01", 0.1]], "benchmark_by_date": {"2024-01-02": 0.1}},
     "too_few_observations"),
    ("cagr", {"begin": 0, "end": 5, "years": 1}, "not_positive"),
    ("cagr", {"begin": -5, "end": 5, "years": 1}, "not_positive"),
    ("cagr", {"begin": 5, "end": -5, "years": 1}, "negative"),
    ("cagr", {"begin": 5, "end": 6, "years": 0}, "not_positive"),
    ("cagr", {"begin": 5, "end": 6, "years": -1}, "not_positive"),
    ("cagr", {"begin": 1e-9, "end": 1e9, "years": 1e-9}, "too_large"),
    ("compound_interest", {"principal": 1, "annual_rate": 0.1, "years": -1}, "negative"),
    ("compound_interest", {"principal": 1, "annual_rate": 0.1, "years": 1, "periods_per_year": 0}, "not_positive"),
    ("compound_interest", {"principal": 1, "annual_rate": -1.5, "years": 1}, "not_positive"),
    ("compound_interest", {"principal": 1, "annual_rate": 1e9, "years": 1e9}, "too_large"),
    ("dca", {"amount_per_purchase": 100, "purchase_prices": [], "final_price": 5}, "too_few_observations"),
    ("dca", {"amount_per_purchase": 100, "purchase_prices": [None], "final_price": 5}, "too_few_observations"),
    ("dca", {"amount_per_purchase": 100, "purchase_prices": [5, 0], "final_price": 5}, "not_positive"),
    ("dca", {"amount_per_purchase": 0, "purchase_prices": [5], "final_price": 5}, "not_positive"),
    ("dca", {"amount_per_purchase": 10, "purchase_prices": [5], "final_price": -5}, "negative"),
    ("average_cost", {"purchases": []}, "too_few_observations"),
    ("average_cost", {"purchases": [[0, 5]]}, "not_positive"),
    ("loan", {"principal": 1000, "annual_rate": 0.1, "years": 0}, "not_positive"),
    ("loan", {"principal": 1000, "annual_rate": -1, "years": 5, "periods_per_year": 1}, "not_positive"),
    ("savings_goal", {"goal": 100, "annual_rate": 0}, "never_reached"),
    ("savings_goal", {"goal": 100, "annual_rate": -0.1, "principal": 50}, "never_reached"),
    ("savings_goal", {"goal": 100, "annual_rate": 0.1, "years": 0}, "never_reached"),
    ("fee_drag", {"principal": 1, "annual_return": 0.1, "annual_fee": 1.5, "years": 1}, "too_large"),
    ("fee_drag", {"principal": 1, "annual_return": 0.1, "annual_fee": 0.1, "years": -1}, "negative"),
    ("inflation", {"amount": 100, "annual_rate": -1, "years": 1}, "not_positive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs", "reason"), UNDEFINED)
def test_no_number_has_a_reason(name: str, inputs: dict[str, Any], reason: str) -> None:
    done = run(name, **inputs)
    assert done.result is None
    assert done.reason == reason
    assert done.detail
    assert done.detail.endswith(".")
    assert done.formula


DEFINED: list[tuple[str, dict[str, Any], Any]] = [
    # 1.2 × 1.1, at fees nobody took: no rate is 0 and no loss is -0.
    ("xirr", {"flows": [["2024-01-01", -100], ["2024-12-31", 100]]}, 0.0),
    ("xirr", {"flows": [["2024-12-31", 132], ["2023-01-01", -50], ["2023-01-01", -50], ["2024-12-31", 0]]},
     1.32 ** (365 / 730) - 1),
    ("xirr", {"flows": [["2024-01-01", -1e18], ["2025-12-31", 1.21e18]]}, 0.1),
    ("xirr", {"flows": [["2024-01-01", -1e-12], ["2025-12-31", 1.21e-12]]}, 0.1),
    ("xirr", {"flows": [["2024-01-01", -100], ["2024-12-31", 5000]]}, 49.0),
    ("xirr", {"flows": [["2024-01-01", -1e6], ["2024-12-31", 0.01]]}, 1e-8 - 1),
    ("xirr", {"flows": [["2024-01-01", -100], ["2024-01-29", 101]]}, 1.01 ** (365 / 28) - 1),
    ("xirr", {"flows": [["1924-01-01", -1], ["2024-01-01", 1000]]}, 1000 ** (365 / 36525) - 1),
    # Borrowing: money in first.
    ("xirr", {"flows": [["2024-01-01", 100], ["2024-12-31", -110]]}, 0.1),
    # Two rates, 25% and 400%: the nearer one.
    ("xirr", {"flows": [["2023-01-01", -1600], ["2024-01-01", 10000], ["2024-12-31", -10000]]}, 0.25),
    # A fee long after the sale: the rate is the one people mean, not the one near -100%.
    ("xirr", {"flows": [["2022-01-01", -1000], ["2023-01-01", 1500], ["2024-01-01", -100]]},
     0.75 + (0.5625 - 0.1) ** 0.5 - 1),
    ("twr", {"start_value": 100, "steps": [{"value_before_flow": 110, "flow": 1000}], "end_value": 999}, -0.01),
    ("twr", {"start_value": 100, "steps": [], "end_value": 0}, -1.0),
    ("modified_dietz", {"begin_value": 100, "end_value": 210, "start": "2024-01-01", "end": "2024-01-31",
                        "flows": [["2024-01-01", 100]]}, 0.05),
    ("modified_dietz", {"begin_value": 100, "end_value": 210, "start": "2024-01-01", "end": "2024-01-31",
                        "flows": [["2024-01-31", 100]]}, 0.1),
    # Missing and disordered prices: 100, 110, 121 is 10% twice.
    ("annualised_volatility", {"prices": [["2024-01-03", 121], ["2024-01-01", 100], ["2024-01-02", 110],
                                          ["2024-01-04", None]], "periods_per_year": 252}, 0.0),
    ("annualised_volatility", {"returns": [0.01, None, -0.01], "periods_per_year": 50}, 0.1),
    ("sharpe", {"returns": [0.03, 0.01], "periods_per_year": 2, "rf_per_period": 0.01}, 1.0),
    ("sortino", {"returns": [0.03, -0.01, 0.01, -0.01], "periods_per_year": 2}, 1.0),
    ("sortino", {"returns": [0.04, 0, 0.02, 0], "periods_per_year": 2, "rf_per_period": 0.01}, 1.0),
    ("beta", {"returns": [0.02, 0.04, None], "benchmark": [0.01, 0.02, 0.5]}, 2.0),
    ("cagr", {"begin": 100, "end": 0, "years": 3}, -1.0),
    ("compound_interest", {"principal": 1000, "annual_rate": 0, "years": 10, "deposit_per_period": 50}, 1500.0),
    ("compound_interest", {"principal": 1000, "annual_rate": "0.05", "years": 0}, 1000.0),
    ("compound_interest", {"principal": 1000, "annual_rate": 1e-28, "years": 10, "deposit_per_period": 50}, 1500.0),
    ("compound_interest", {"principal": 1000, "annual_rate": -1, "years": 1, "deposit_per_period": 50}, 50.0),
    ("max_drawdown", {"prices": [["2024-01-01", 5], ["2024-01-02", 6]]},
     {"max_drawdown": 0.0, "peak_date": None, "trough_date": None, "recovery_date": None}),
    ("max_drawdown", {"prices": {"2024-01-02": 0, "2024-01-01": 5}},
     {"max_drawdown": -1.0, "peak_date": "2024-01-01", "trough_date": "2024-01-02", "recovery_date": None}),
    # Equal peaks and troughs: the first of each; recovered on the day the peak is reached, not passed.
    ("max_drawdown", {"prices": [["2024-01-01", 10], ["2024-01-02", 10], ["2024-01-03", 5], ["2024-01-04", 5],
                                 ["2024-01-05", 10], ["2024-01-06", 5]]},
     {"max_drawdown": -0.5, "peak_date": "2024-01-01", "trough_date": "2024-01-03", "recovery_date": "2024-01-05"}),
    ("average_cost", {"purchases": [[3, 10], [3, 12], [3, 14]]},
     {"units": 9.0, "invested": 108.0, "average_cost": 12.0}),
    ("loan", {"principal": 1200, "annual_rate": 0, "years": 1},
     {"payment": 100.0, "total_paid": 1200.0, "total_interest": 0.0}),
    ("savings_goal", {"goal": 1200, "annual_rate": 0, "years": 1}, {"deposit_per_period": 100.0, "years": 1.0}),
    ("savings_goal", {"goal": 1200, "annual_rate": 0, "deposit_per_period": 100}, {"deposit_per_period": 100.0, "years": 1.0}),
    ("savings_goal", {"goal": 100, "principal": 100, "annual_rate": 0.05}, {"deposit_per_period": 0.0, "years": 0.0}),
    ("fee_drag", {"principal": 100, "annual_return": 0, "annual_fee": 1, "years": 1},
     {"value": 0.0, "other_value": 100.0, "cost": 100.0, "cost_fraction": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs", "expected"), DEFINED)
def test_the_edge_of_what_is_defined_still_has_its_number(
    name: str, inputs: dict[str, Any], expected: Any
) -> None:
    done = run(name, **inputs)
    assert done.reason is None
    if isinstance(expected, float):
        assert done.result == pytest.approx(expected, rel=1e-11, abs=1e-12)
        assert str(done.result) != "-0.0"
    else:
        assert done.result == expected


def test_the_case_of_flows_without_a_rate() -> None:
    folder = CASES / "xirr-undefined"
    expected = json.loads((folder / "expected.json").read_text())
    done = {
        name: run("xirr", flows=rows(folder / f"{name}.csv"))
        for name in ("same_day", "deposits_only", "one_day", "loss_negative")
    }
    assert done["same_day"].result is expected["same_day"]
    assert "at least two dates" in str(done["same_day"].detail)
    assert done["deposits_only"].result is expected["deposits_only"]
    assert "money in and out" in str(done["deposits_only"].detail)
    assert done["one_day"].result is expected["one_day"]["annual"]
    period = done["one_day"].details["period_return"]
    assert f"{100 * float(str(period)):.2f}" == expected["one_day"]["period_return_percent"]
    assert "+8.00%" in str(done["one_day"].detail)
    loss = done["loss_negative"].result
    assert isinstance(loss, float)
    assert f"{100 * loss:.2f}" == expected["loss_negative"]["annual_percent"]


def test_the_case_of_a_fall_on_the_first_day() -> None:
    folder = CASES / "drawdown-first-day"
    expected = json.loads((folder / "expected.json").read_text())
    returns = rows(folder / "returns.csv")
    done = run("max_drawdown", returns=returns).result
    assert isinstance(done, dict)
    assert f"{100 * float(str(done['max_drawdown'])):.2f}" == expected["max_drawdown_percent"]
    assert done["peak_date"] is None
    assert done["trough_date"] == expected["trough"]
    assert done["recovery_date"] == expected["recovered"]
    # The same as prices, with the value before the first return.
    prices: list[list[Any]] = [["2024-01-01", 100.0]]
    for day, change in returns:
        prices.append([day, prices[-1][1] * (1 + float(change))])
    same = run("max_drawdown", prices=prices).result
    assert same == {**done, "max_drawdown": pytest.approx(-0.145), "peak_date": "2024-01-01"}
