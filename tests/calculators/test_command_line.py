"""`ai-investment calc` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ai_investment.calculators.registry import CALCULATORS
from tests.calculators.test_batch import calc

CASES = Path(__file__).parents[1] / "cases"


def test_alone_it_lists_what_there_is() -> None:
    shown = calc()
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in CALCULATORS)


def test_options_come_from_the_inputs_and_take_percent() -> None:
    shown = calc("compound-interest", "--principal", "1000", "--annual-rate", "5%", "--years", "10")
    assert shown.returncode == 0
    assert "1,628.89" in shown.stdout
    assert "Formula: FV = P" in shown.stdout
    assert "an assumption, not a promise" in " ".join(shown.stdout.split())


def test_json_is_for_programs() -> None:
    done = json.loads(
        calc("cagr", "--begin", "100", "--end", "121", "--years", "2", "--json").stdout
    )
    assert done["result"] == pytest.approx(0.1)
    assert {"result", "formula", "steps", "assumptions"} <= set(done)


def test_lists_come_from_text_json_or_a_file() -> None:
    bought = ("dca", "--amount-per-purchase", "100", "--final-price", "15", "--json")
    assert (
        json.loads(calc(*bought, "--purchase-prices", "10,20").stdout)["result"]
        == json.loads(calc(*bought, "--purchase-prices", "[10, 20]").stdout)["result"]
        == json.loads(calc("dca", "--json", "--inputs", '{"amount_per_purchase": 100, "purchase_prices": [10, 20], "final_price": 15}').stdout)["result"]
    )  # fmt: skip
    from_file = calc("xirr", "--flows", str(CASES / "xirr-undefined" / "loss_negative.csv"))
    assert "-44.1452%" in from_file.stdout


def test_no_number_says_why() -> None:
    shown = calc("xirr", "--flows", str(CASES / "xirr-undefined" / "one_day.csv"))
    assert shown.returncode == 0
    assert "too_short" in shown.stdout
    assert "+8.00%" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["alpha"], "no calculator 'alpha'"),
        (["cagr", "--begin", "5"], "--end: missing field"),
        (["cagr", "--begin", "five", "--end", "6", "--years", "1"], "--begin: not a number"),
        (["cagr", "--begin", "nan", "--end", "6", "--years", "1"], "--begin: not a finite number"),
        (["cagr", "--start", "5"], "No such option"),
        (["dca", "--purchase-prices", "[10,"], "not JSON"),
        (["xirr", "--flows", "missing.csv"], "missing.csv: cannot read"),
        (["xirr", "--flows", '[["yesterday", 1]]'], "--flows/0/0: not a date like 2024-05-31"),
        (["cagr", "--inputs", "{", "--json"], "Not JSON"),
        (["cagr", "--inputs", "{}", "--begin", "1"], "either --inputs or options"),
        (["--batch", "missing.jsonl"], "does not exist"),
    ],
)
def test_a_wrong_input_is_one_readable_line(arguments: list[str], said: str) -> None:
    refused = calc(*arguments)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not refused.stdout


@pytest.mark.parametrize("name", CALCULATORS)
def test_every_calculator_has_help_with_its_source(name: str) -> None:
    from click.testing import CliRunner

    from ai_investment.cli import cli

    shown = CliRunner().invoke(cli, ["calc", name, "--help"])
    assert shown.exit_code == 0
    assert "Source: " in shown.output
