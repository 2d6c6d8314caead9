"""The calculators as tools of a language model: name, JSON schema, call."""

from __future__ import annotations

from typing import Any

import msgspec

from ai_investment.calculators.calculator import Calculation, Calculator
from ai_investment.calculators.inputs import decode
from ai_investment.calculators.registry import CALCULATORS, named


class Tool(msgspec.Struct, frozen=True):
    """A function a model may call; `parameters` is a JSON schema (2020-12) of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


def schemas() -> list[Tool]:
    """One tool per calculator."""
    return [
        Tool(
            item.name,
            f"{item.title}. {item.summary} Formula: {item.formula}. " + " ".join(item.assumptions),
            input_schema(item),
        )
        for item in CALCULATORS.values()
    ]


def call(name: str, arguments: str | bytes) -> Calculation:
    """The calculation for a model's JSON arguments.

    Raises UnknownCalculator, or Malformed with a pointer to each fault: both say what to do better.
    """
    calculator = named(name)
    raw = arguments.encode(errors="surrogatepass") if isinstance(arguments, str) else arguments
    return calculator(decode(calculator, raw))


def input_schema(calculator: Calculator) -> dict[str, Any]:
    """The JSON schema of a calculator's inputs, without references."""
    schema = msgspec.json.schema(calculator.inputs)
    definitions = schema["$defs"]
    root: dict[str, Any] = _inlined(schema, definitions)
    return root


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if schema.get("format") == "decimal":
        # Strings are accepted too; a number is what a caller should send.
        schema = {**schema, "type": "number", "format": None}
        if "default" in schema:
            schema["default"] = float(schema["default"])
    return {key: _inlined(value, definitions) for key, value in schema.items() if value is not None}
