"""Many calculations from JSON lines: all of the file, or nothing and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from ai_investment.calculators.calculator import Calculator, Result
from ai_investment.calculators.inputs import Inputs, decode, malformed
from ai_investment.calculators.registry import named
from ai_investment.errors import Fault, Malformed, Problem

_SHOWN = 20


class Line(msgspec.Struct):
    """One line of a batch."""

    id: str | int
    metric: str
    inputs: msgspec.Raw


class Done(msgspec.Struct, frozen=True):
    """Values by id, and how often which reason stands behind a null."""

    values: dict[str, Result]
    undefined: dict[str, int]


class BadBatch(Malformed):
    """Lines that are no calculations; each is named with its number."""

    title = "Malformed batch"


def run_batch(raw: bytes, advance: Callable[[], None] = lambda: None) -> Done:
    """The value of each line; `advance` is called after each.

    Raises BadBatch, before anything is computed, when a line is not JSON, names an unknown calculator, has
    inputs of another form than its calculator's, or an id that an earlier line has.
    """
    work = _read(raw)
    values: dict[str, Result] = {}
    undefined: Counter[str] = Counter()
    for key, (calculator, given) in work.items():
        done = calculator(given)
        values[key] = done.result
        if done.reason:
            undefined[done.reason] += 1
        advance()
    return Done(values, dict(undefined.most_common()))


def count(raw: bytes) -> int:
    """How many lines there are to compute."""
    return sum(1 for _ in _lines(raw))


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers; a byte order mark is none of them."""
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield number, line


def _read(raw: bytes) -> dict[str, tuple[Calculator, Inputs]]:
    work: dict[str, tuple[Calculator, Inputs]] = {}
    faults = []
    decoder = msgspec.json.Decoder(Line)
    for number, text in _lines(raw):
        where = f"line {number}"
        try:
            line = decoder.decode(text)
            where = f"line {number} (id {str(line.id)[:60]!r})"
            calculator = named(line.metric)
            given = decode(calculator, bytes(line.inputs))
            if str(line.id) in work:
                raise Malformed("an earlier line has the same id")
        except msgspec.DecodeError as cause:
            faults.append(Fault(where, malformed(cause).detail))
        except UnicodeDecodeError:
            faults.append(Fault(where, "not UTF-8 text"))
        except Problem as cause:
            faults.append(Fault(where, cause.detail))
        else:
            work[str(line.id)] = (calculator, given)
    if faults:
        raise BadBatch(_told(faults), errors=faults)
    return work


def _told(faults: list[Fault]) -> str:
    shown = [f"  {fault.pointer}: {fault.detail}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        shown.append(f"  and {len(faults) - _SHOWN} more")
    return "nothing was computed, these lines are wrong:\n" + "\n".join(shown)
