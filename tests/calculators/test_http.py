"""/calculators over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ai_investment.calculators.registry import CALCULATORS
from tests.installation import Installation

BASE = "/api/v1/calculators"


def test_all_are_listed_with_formula_sources_and_inputs(api: httpx.Client) -> None:
    items = api.get(BASE).json()["items"]
    assert [item["name"] for item in items] == list(CALCULATORS)
    for item in items:
        assert item["formula"]
        assert item["sources"]
        assert item["inputs"]["type"] == "object"


def test_a_calculation_answers_at_once_with_its_working(api: httpx.Client) -> None:
    given = {"principal": "1000", "annual_rate": 0.05, "years": 10}
    response = api.post(f"{BASE}/compound_interest", json=given)
    assert response.status_code == 200
    done = response.json()
    assert done["result"] == pytest.approx(1000 * 1.05**10, rel=1e-14)
    assert done["formula"].startswith("FV = ")
    assert "1,628.89" in " ".join(done["steps"])
    assert (
        "The rate stays the same all the time: an assumption, not a promise." in done["assumptions"]
    )
    assert done["reason"] is None


def test_no_number_is_null_with_a_reason(api: httpx.Client) -> None:
    done = api.post(f"{BASE}/cagr", json={"begin": 0, "end": 5, "years": 1}).json()
    assert (done["result"], done["reason"]) == (None, "not_positive")
    assert done["detail"] == "begin must be above 0."


BAD: list[tuple[str, Any, int, str]] = [
    ("cagr", {"begin": 1, "end": 5}, 422, "#/years"),
    ("cagr", {"begin": 1, "end": 5, "years": 1, "x": 1}, 422, "#/x"),
    ("cagr", {"begin": 1, "end": 5, "years": "Infinity"}, 422, "#/years"),
    ("cagr", {"begin": 1, "end": 5, "years": 1e200}, 422, "#/years"),
    ("cagr", {"begin": 1, "end": 5, "years": None}, 422, "#/years"),
    ("cagr", [], 422, "#"),
    ("xirr", {"flows": [["2024-01-01", 1], ["2024-13-01", 1]]}, 422, "#/flows/1/0"),
    ("xirr", {"flows": [["2024-01-01", 1, 2]]}, 422, "#/flows/0"),
    ("sharpe", {"periods_per_year": 12}, 422, "#"),
]


@pytest.mark.parametrize(("name", "given", "status", "pointer"), BAD)
def test_a_wrong_input_is_a_problem_that_points_at_it(
    api: httpx.Client, name: str, given: Any, status: int, pointer: str
) -> None:
    response = api.post(f"{BASE}/{name}", json=given)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize("body", [b"", b"{", b"begin=1", b'{"begin": NaN}', b'{"begin": "\xff"}'])
def test_a_body_that_is_no_json_is_a_problem(api: httpx.Client, body: bytes) -> None:
    response = api.post(f"{BASE}/cagr", content=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_calculator_is_told_which_there_are(api: httpx.Client) -> None:
    response = api.post(f"{BASE}/alpha", json={})
    assert response.status_code == 404
    assert "compound_interest" in response.json()["detail"]


def test_a_key_that_may_only_read_may_calculate_and_nobody_may_not(
    installation: Installation,
) -> None:
    given = {"begin": 1, "end": 5, "years": 1}
    made = installation.cli("keys", "create", "reader", "--read-only", "--json")
    with installation.client(json.loads(made.stdout)["key"]) as reader:
        assert reader.post(f"{BASE}/cagr", json=given).status_code == 200
    with installation.client() as nobody:
        assert nobody.post(f"{BASE}/cagr", json=given).status_code == 401
        assert nobody.get(BASE).status_code == 401


def test_longest_inputs_do_not_hold_up_other_requests(api: httpx.Client) -> None:
    flows = [[f"{1900 + n // 300}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}", (-1) ** n * (n % 97 + 1)] for n in range(9000)]  # fmt: skip
    response = api.post(f"{BASE}/xirr", json={"flows": flows}, timeout=30)
    assert response.status_code == 200
    too_long = api.post(f"{BASE}/xirr", json={"flows": flows * 2})
    assert too_long.status_code == 413
