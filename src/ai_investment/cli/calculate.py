"""`calc`: one calculation from options, or many from a file. Needs no server."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click
import msgspec

from ai_investment.calculators.calculator import Calculation, Calculator, number
from ai_investment.cli.client import print_json
from ai_investment.cli.environment import CannotRun
from ai_investment.errors import Malformed


class _Calculators(click.Group):
    """A command per calculator, its options made from the calculator's inputs when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from ai_investment.calculators.registry import CALCULATORS

        return list(CALCULATORS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from ai_investment.calculators.registry import UnknownCalculator, named

        try:
            return _command(named(cmd_name))
        except UnknownCalculator as cause:
            raise CannotRun(cause.detail, 2) from cause


@click.group(cls=_Calculators, invoke_without_command=True)
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compute each line {id, metric, inputs} of this JSON lines file.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where --batch writes {id: value}; without it, the terminal. No number: null.",
)
@click.pass_context
def calc(context: click.Context, batch: Path | None, out: Path | None) -> int:
    """Calculate: compound interest, loans, returns, risk. `calc NAME --help` shows what it takes.

    Rates and returns are fractions (0.05) or percent (5%). What has no number says why.
    """
    if context.invoked_subcommand:
        if batch or out:
            raise CannotRun("give either --batch or the name of a calculator", 2)
    elif batch:
        _batch(batch, out)
    else:
        _print_list()
    return 0


def _batch(batch: Path, out: Path | None) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from ai_investment.calculators.batch import count, run_batch

    raw = batch.read_bytes()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Calculating", total=count(raw))
        done = run_batch(raw, lambda: progress.advance(task))
    text = msgspec.json.format(msgspec.json.encode(done.values)) + b"\n"
    if out is None:
        click.echo(text.decode(), nl=False)
    else:
        _write(out, text)
    reasons = ", ".join(f"{code} {times}" for code, times in done.undefined.items())
    without = sum(done.undefined.values())
    click.echo(
        f"{len(done.values)} computed"
        + (f", {without} of them without a number: {reasons}" if without else ""),
        err=True,
    )


def _write(out: Path, text: bytes) -> None:
    """All or nothing: a reader never sees half a file."""
    partial = out.with_name(out.name + ".partial")
    try:
        partial.write_bytes(text)
        partial.replace(out)
    except OSError as cause:
        raise CannotRun(f"{out}: cannot write: {cause.strerror}") from cause


def _print_list() -> None:
    from rich.console import Console
    from rich.table import Table

    from ai_investment.calculators.registry import CALCULATORS

    table = Table("Name", "What it finds")
    for item in CALCULATORS.values():
        table.add_row(item.name, item.summary)
    Console().print(table)
    click.echo(
        "Try: ai-investment calc compound_interest --principal 1000 --annual-rate 5% --years 10"
    )


def _command(calculator: Calculator) -> click.Command:
    fields = msgspec.json.schema(calculator.inputs)["$defs"][calculator.inputs.__name__]
    options: list[click.Parameter] = [
        _option(name, field, required=name in fields.get("required", []))
        for name, field in fields["properties"].items()
    ]
    options.append(
        click.Option(["--inputs"], help="All inputs as one JSON object, instead of options.")
    )
    options.append(
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for programs.")
    )

    def run(inputs: str | None, as_json: bool, **given: Any) -> int:
        done = _calculate(calculator, inputs, given)
        if as_json:
            print_json(done)
        else:
            _print(calculator, done)
        return 0

    sources = "\b\n" + "\n".join(f"Source: {source}" for source in calculator.sources)
    return click.Command(
        calculator.name,
        params=options,
        callback=run,
        help=f"{calculator.summary}\n\n{calculator.formula}",
        epilog=sources,
    )


def _option(name: str, field: dict[str, Any], *, required: bool) -> click.Option:
    text = field.get("description", "")
    kinds = [field, *field.get("anyOf", [])]
    many = any("array" in str(kind) for kind in kinds)
    if many:
        text += " As JSON, or a .csv or .json file."
    default = field.get("default")
    return click.Option(
        [f"--{name.replace('_', '-')}", name],
        is_flag=field.get("type") == "boolean",
        help=(
            text + (" Needed." if required else f" Otherwise {default}." if default else "")
        ).strip(),
        metavar="VALUES" if many else "DATE" if field.get("format") == "date" else "NUMBER",
    )


def _calculate(calculator: Calculator, inputs: str | None, given: dict[str, Any]) -> Calculation:
    from ai_investment.calculators.inputs import convert, decode

    values = {
        name: value for name, value in given.items() if value is not None and value is not False
    }
    try:
        if inputs is not None:
            if values:
                raise CannotRun("give either --inputs or options", 2)
            return calculator(decode(calculator, inputs.encode()))
        return calculator(
            convert(calculator, {name: _read(value) for name, value in values.items()})
        )
    except Malformed as cause:
        raise CannotRun(f"{calculator.name}: {_in_options(cause)}", 2) from cause


def _in_options(cause: Malformed) -> str:
    """`#/annual_rate: missing field` as a person knows it who gave options."""
    return re.sub(r"^#/(\w+)", lambda match: "--" + match[1].replace("_", "-"), cause.detail)


def _read(value: Any) -> Any:
    """An option's text: JSON, the content of a file, a percentage, or itself."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith(("[", "{")):
        return _json(text.encode(), "the option")
    if text.endswith((".csv", ".json")):
        return _file(Path(text))
    if text.endswith("%"):
        try:
            return Decimal(text[:-1].strip()) / 100
        except InvalidOperation:
            return value
    if "," in text:
        return [_read(part) for part in text.split(",")]
    return text


def _json(raw: bytes, where: str) -> Any:
    try:
        return msgspec.json.Decoder(float_hook=Decimal).decode(raw)
    except (msgspec.DecodeError, InvalidOperation) as cause:
        raise CannotRun(f"{where} is not JSON: {cause}", 2) from cause


def _file(path: Path) -> Any:
    try:
        raw = path.read_bytes()
        if path.suffix == ".json":
            return _json(raw, str(path))
        return _rows(list(csv.reader(raw.decode("utf-8-sig").splitlines())))
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise CannotRun(f"{path}: cannot read: {cause}", 2) from cause


def _rows(rows: Sequence[list[str]]) -> Any:
    """CSV rows without a heading; one column is a list, an empty cell is null."""
    rows = [row for row in rows if any(row)]
    if rows and not any(character.isdigit() for character in "".join(rows[0])):
        rows = rows[1:]
    cells = [[cell.strip() or None for cell in row] for row in rows]
    return [row[0] if len(row) == 1 else row for row in cells]


def _print(calculator: Calculator, done: Calculation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(calculator.title, style="bold"))
    table = Table(show_header=False, box=None)
    result = done.result if isinstance(done.result, dict) else {"result": done.result}
    for name, value in (result | done.details).items():
        table.add_row(name, number(value) if isinstance(value, float | int) else value or "none")
    console.print(table)
    if done.reason:
        console.print(Text(f"No number ({done.reason}): {done.detail}"))
    for step in done.steps:
        console.print(Text(f"  {step}", style="dim"))
    console.print(Text(f"Formula: {done.formula}"))
    for assumption in done.assumptions:
        console.print(Text(f"Assumes: {assumption}", style="italic"))
