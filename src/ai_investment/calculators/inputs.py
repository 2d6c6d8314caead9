"""Inputs of calculators: number and date types, and decoding with faults that name the place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from ai_investment.calculators.calculator import Calculator
from ai_investment.errors import Fault, Malformed

# Beyond this no amount of money and no rate means anything, and floats lose the cents long before.
_LARGEST = 30
_LONGEST = 20_000

Number = Decimal
"""A JSON number, or the same in a string, kept as written."""


def about(text: str) -> msgspec.Meta:
    """What a field means: for its JSON schema and its command-line option."""
    return msgspec.Meta(description=text)


Rate = Annotated[Number, about("A fraction a year: 0.05 is 5%.")]
Numbers = Annotated[list[Number | None], msgspec.Meta(max_length=_LONGEST)]
Flows = Annotated[
    list[tuple[date, Number]],
    msgspec.Meta(max_length=_LONGEST, description="Pairs of ISO date and amount, in any order."),
]
Pairs = Annotated[list[tuple[Number, Number]], msgspec.Meta(max_length=_LONGEST)]
Series = Annotated[
    list[tuple[date, Number | None]] | dict[date, Number | None],
    msgspec.Meta(
        description="Pairs of ISO date and value (or an object of them), in any order; null: missing."
    ),
]


class Inputs(msgspec.Struct, forbid_unknown_fields=True):
    """The base of all inputs: unknown fields are refused."""


def decode(calculator: Calculator, raw: bytes) -> Inputs:
    """Inputs from JSON; raises Malformed with a pointer to each fault."""
    try:
        given: Inputs = msgspec.json.decode(raw, type=calculator.inputs)
    except msgspec.DecodeError as cause:
        raise malformed(cause) from cause
    return checked(given)


def convert(calculator: Calculator, values: dict[str, Any], *, strict: bool = True) -> Inputs:
    """Inputs from a dict; not `strict`: booleans and null may come as strings."""
    try:
        given: Inputs = msgspec.convert(values, type=calculator.inputs, strict=strict)
    except msgspec.ValidationError as cause:
        raise malformed(cause) from cause
    return checked(given)


def checked(given: Inputs) -> Inputs:
    """The same inputs, once every number in them is known to be finite and of a size that can be used."""
    for field in given.__struct_fields__:
        for pointer, value in _numbers(f"#/{field}", getattr(given, field)):
            if fault := _fault(value):
                raise Malformed(f"{pointer}: {fault}", errors=[Fault(pointer, fault)])
    return given


def _numbers(pointer: str, value: Any) -> Iterator[tuple[str, Decimal]]:
    if isinstance(value, Decimal):
        yield pointer, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _numbers(f"{pointer}/{index}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(f"{pointer}/{key}", item)
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from _numbers(f"{pointer}/{field}", getattr(value, field))


def _fault(value: Decimal) -> str | None:
    if not value.is_finite():
        return "not a finite number"
    if value and abs(value.adjusted()) > _LARGEST:
        return f"a number beyond 1e{_LARGEST} or below 1e-{_LARGEST}"
    return None


def malformed(cause: msgspec.DecodeError) -> Malformed:
    """msgspec's error, its path as a JSON pointer."""
    text, _, path = str(cause).partition(" - at `$")
    pointer = "#" + re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", path.rstrip("`")).replace(".", "/")
    if not isinstance(cause, msgspec.ValidationError):
        return Malformed(f"Not JSON: {text}", errors=[Fault("#", text)])
    where = f"{pointer}: " if pointer != "#" else ""
    return Malformed(where + text, errors=[Fault(pointer, text)])
