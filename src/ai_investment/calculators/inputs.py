"""Inputs of calculators: number and date types, and decoding with faults that name the place."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    except UnicodeDecodeError as cause:
        raise Malformed("Not UTF-8 text", errors=[Fault("#", "not UTF-8 text")]) from cause
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
        if found := _faulty(getattr(given, field)):
            path, fault = found
            pointer = "/".join(["#", field, *path])
            raise Malformed(f"{pointer}: {fault}", errors=[Fault(pointer, fault)])
    return given


def _faulty(value: Any) -> tuple[list[str], str] | None:
    """The path to the first number that cannot be used, and why; None when there is none."""
    if isinstance(value, Decimal):
        fault = _fault(value)
        return ([], fault) if fault else None
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, list | tuple):
        items = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    elif isinstance(value, msgspec.Struct):
        items = ((field, getattr(value, field)) for field in value.__struct_fields__)
    else:
        return None
    for key, item in items:
        if found := _faulty(item):
            return [str(key), *found[0]], found[1]
    return None


def _fault(value: Decimal) -> str | None:
    if not value.is_finite():
        return "not a finite number"
    if value and abs(value.adjusted()) > _LARGEST:
        return f"a number beyond 1e{_LARGEST} or below 1e-{_LARGEST}"
    return None


_PLAINLY = {
    "Invalid decimal string": "not a number",
    "Invalid RFC3339 encoded date": "not a date like 2024-05-31",
}
_FIELD = re.compile(r"Object (?:(missing) required|contains (unknown)) field `(.*)`")


def malformed(cause: msgspec.DecodeError) -> Malformed:
    """msgspec's error in plain words, its path as a JSON pointer."""
    text, _, path = str(cause).partition(" - at `$")
    if not isinstance(cause, msgspec.ValidationError):
        return Malformed(f"Not JSON: {text}", errors=[Fault("#", text)])
    pointer = "#" + re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", path.rstrip("`")).replace(".", "/")
    if field := _FIELD.fullmatch(text):
        pointer, text = f"{pointer}/{field[3]}", f"{field[1] or field[2]} field"
    text = _PLAINLY.get(text, text)
    return Malformed(
        f"{pointer}: {text}" if pointer != "#" else text, errors=[Fault(pointer, text)]
    )
