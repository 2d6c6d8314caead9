from __future__ import annotations

import json
from typing import Any

import pytest

from ai_investment.calculators.registry import CALCULATORS, UnknownCalculator
from ai_investment.calculators.tools import call, schemas
from ai_investment.errors import Malformed


def test_every_calculator_is_a_tool_with_a_self_contained_schema() -> None:
    tools = schemas()
    assert [tool.name for tool in tools] == list(CALCULATORS)
    for tool in tools:
        text = json.dumps(tool.parameters)
        assert tool.parameters["type"] == "object"
        assert tool.parameters["additionalProperties"] is False
        assert "$ref" not in text
        assert "decimal" not in text
        assert len(tool.description) > 40


def test_a_call_computes() -> None:
    done = call("cagr", '{"begin": 5000, "end": 8000, "years": 3}')
    assert done.result == pytest.approx((8 / 5) ** (1 / 3) - 1, rel=1e-15)
    assert done.formula
    assert done.steps
    assert done.assumptions


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({"begin": 5000, "end": 8000}, "#/years"),
        ({"begin": 5000, "end": 8000, "years": 3, "rate": 1}, "#/rate"),
        ({"begin": [], "end": 8000, "years": 3}, "#/begin"),
        ({"begin": "NaN", "end": 8000, "years": 3}, "#/begin"),
        ({"begin": 5000, "end": "-Infinity", "years": 3}, "#/end"),
        ({"begin": 5000, "end": 1e300, "years": 3}, "#/end"),
        ({"begin": 5000, "end": 8000, "years": "3 years"}, "#/years"),
        ({"begin": True, "end": 8000, "years": 3}, "#/begin"),
    ],
)
def test_wrong_arguments_are_named_where_they_stand(
    arguments: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Malformed) as caught:
        call("cagr", json.dumps(arguments))
    assert [fault.pointer for fault in caught.value.errors] == [pointer]


def test_a_fault_deep_inside_is_pointed_at() -> None:
    with pytest.raises(Malformed) as caught:
        call("xirr", '{"flows": [["2024-01-01", -1], ["01/02/2024", 2]]}')
    assert caught.value.errors[0].pointer == "#/flows/1/0"


@pytest.mark.parametrize(
    "arguments", ["", "{", '{"begin": NaN}', "[]", "null", "5", '{"begin": "\ud800"}']
)
def test_arguments_that_are_no_json_object_are_refused(arguments: str) -> None:
    with pytest.raises(Malformed):
        call("cagr", arguments)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownCalculator, match="compound_interest"):
        call("buy_shares", "{}")
