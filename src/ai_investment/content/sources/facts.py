"""Figures of a company from the SEC's companyfacts JSON: by quarter, half and year, each with its period.

A 10-Q reports cash flows from the start of the fiscal year on. `fy` and `fp` name the filing and not the
period of the fact, so only `start` and `end` are relied on; a quarter that was not reported is the
difference of two periods that were, and is stated only then.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

import msgspec

CONCEPTS = (
    "RevenueFromContractWithCustomerExcludingAssessedTax", "Revenues", "GrossProfit",
    "OperatingIncomeLoss", "NetIncomeLoss", "EarningsPerShareDiluted",
    "NetCashProvidedByUsedInOperatingActivities", "PaymentsToAcquirePropertyPlantAndEquipment",
    "PaymentsOfDividends", "PaymentsForRepurchaseOfCommonStock", "Assets", "Liabilities",
    "StockholdersEquity", "CashAndCashEquivalentsAtCarryingValue", "LongTermDebt",
)  # fmt: skip
_LATEST = 12
_NAMES = {3: "quarter", 6: "6 months", 9: "9 months", 12: "year"}


class Fact(msgspec.Struct, frozen=True):
    """A fact as filed; without `start` it holds at the day `end`."""

    end: date
    val: Decimal
    accn: str
    form: str
    filed: date
    start: date | None = None


class Concept(msgspec.Struct, frozen=True):
    units: dict[str, list[Fact]]
    label: str | None = None
    description: str | None = None


class CompanyFacts(msgspec.Struct, frozen=True):
    cik: int | str
    entityName: str  # noqa: N815 - the SEC's name
    facts: dict[str, dict[str, Concept]]


class Figure(msgspec.Struct, frozen=True):
    """A value over the days from `start` to `end`, both included; at `end` when `start` is null.

    `accessions` names the filings it stands in; two of them when it is a difference.
    """

    start: date | None
    end: date
    value: Decimal
    accessions: tuple[str, ...]
    form: str
    filed: date

    @property
    def months(self) -> int:
        """The length of the period in whole months, 0 for a moment; fiscal years of 52 weeks count as 12."""
        return round((self.end - self.start).days / 30.4) if self.start else 0

    @property
    def derived(self) -> bool:
        return len(self.accessions) > 1


def figures(facts: Iterable[Fact], *, additive: bool = True) -> list[Figure]:
    """What was filed, each period once with its latest value, in order of end and length; with `additive`
    also the quarters and second halves that follow by subtraction (amounts do, values per share do not)."""
    latest: dict[tuple[date | None, date], Fact] = {}
    for fact in facts:
        known = latest.get((fact.start, fact.end))
        if known is None or fact.filed >= known.filed:
            latest[fact.start, fact.end] = fact
    filed = [
        Figure(fact.start, fact.end, fact.val, (fact.accn,), fact.form, fact.filed)
        for fact in latest.values()
    ]
    derived = {
        (figure.start, figure.end): figure for figure in _differences(filed if additive else [])
    }
    for period in latest:
        derived.pop(period, None)
    return sorted([*filed, *derived.values()], key=lambda f: (f.end, f.months))


def _differences(filed: Sequence[Figure]) -> Iterable[Figure]:
    """The last quarter or half of periods that begin on the same day."""
    by_start: dict[date, list[Figure]] = defaultdict(list)
    for figure in filed:
        if figure.start and figure.months in _NAMES:
            by_start[figure.start].append(figure)
    for figures_of_start in by_start.values():
        ordered = sorted(figures_of_start, key=lambda f: f.end)
        for at, longer in enumerate(ordered):
            for shorter in ordered[:at]:
                halves = (longer.months, shorter.months) == (12, 6)
                if halves or longer.months - shorter.months == 3:
                    yield Figure(
                        start=shorter.end + timedelta(days=1),
                        end=longer.end,
                        value=longer.value - shorter.value,
                        accessions=(longer.accessions[0], shorter.accessions[0]),
                        form=longer.form,
                        filed=max(longer.filed, shorter.filed),
                    )


def quarters(facts: Iterable[Fact]) -> list[Figure]:
    """The figures of single quarters only."""
    return [figure for figure in figures(facts) if figure.months == 3]


def as_markdown(company: CompanyFacts, concepts: Sequence[str] = ()) -> str:
    """The figures of a company as tables, one section for each concept and unit that it has."""
    wanted = concepts or CONCEPTS
    parts = [f"# {company.entityName}: figures from filings with the SEC"]
    for concepts_of_taxonomy in company.facts.values():
        for name in wanted:
            if (concept := concepts_of_taxonomy.get(name)) is None:
                continue
            for unit, facts in concept.units.items():
                found = figures(facts, additive=bool(re.fullmatch("[A-Z]{3}", unit)))
                parts.append(_section(company.entityName, concept.label or name, unit, found))
    return "\n\n".join(parts) + "\n"


def _section(company: str, label: str, unit: str, found: Sequence[Figure]) -> str:
    rows = [
        f"| {_period(figure)} | {_number(figure.value)} {unit} | {_origin(figure)} |"
        for figure in reversed(found[-_LATEST * 4 :])
    ]
    head = ["| Period | Value | Filed in |", "|---|---|---|"]
    return "\n".join([f"## {company}: {_spaced(label)} ({unit})", "", *head, *rows])


def _period(figure: Figure) -> str:
    if figure.start is None:
        return f"on {figure.end}"
    name = _NAMES.get(figure.months, f"{(figure.end - figure.start).days + 1} days")
    return f"{name} from {figure.start} to {figure.end}"


def _origin(figure: Figure) -> str:
    if not figure.derived:
        return f"{figure.form} of {figure.filed}, {figure.accessions[0]}"
    longer, shorter = figure.accessions
    return f"difference of {longer} and {shorter}"


def _number(value: Decimal) -> str:
    return f"{value:,f}"


def _spaced(label: str) -> str:
    """NetCashProvided as Net Cash Provided; labels with spaces are left alone."""
    if " " in label:
        return label
    return "".join(
        f" {letter}" if at and letter.isupper() and not label[at - 1].isupper() else letter
        for at, letter in enumerate(label)
    )
