"""Numbers in a text with their units, and whether one number vouches for another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Final

import msgspec
from text_to_num import alpha2digit

PERCENT: Final = "%"
POINTS: Final = "points"
"""Percentage points; basis points are a hundredth of one."""
TIMES: Final = "times"
CENT: Final = "cent"

_CURRENCIES = {
    "USD": ["$", "us$", "usd", "dollar", "dollars", "buck", "bucks"],
    "EUR": ["€", "eur", "euro", "euros"],
    "GBP": ["£", "gbp", "pound", "pounds", "quid", "sterling"],
    "JPY": ["¥", "jpy", "yen"],
    "INR": ["₹", "inr", "rupee", "rupees"],
    "CHF": ["chf", "franc", "francs"],
    "CNY": ["cny", "rmb", "yuan", "renminbi"],
    "AUD": ["a$", "aud"],
    "CAD": ["c$", "cad"],
    "BTC": ["₿", "btc", "bitcoin", "bitcoins"],
    CENT: ["cent", "cents", "pence", "penny", "pennies", "¢"],
}
_NOUNS = """second minute hour day week month quarter year decade century share stock unit bond fund
etf option future coupon token coin company firm country person people investor employee customer
ounce gram kilogram barrel tonne mile kilometre metre point trade order payment"""
_UNITS = {
    **{word: code for code, words in _CURRENCIES.items() for word in words},
    **{noun + ending: noun for noun in _NOUNS.split() for ending in ("", "s")},
    "companies": "company",
    "countries": "country",
    "centuries": "century",
    "persons": "person",
    **dict.fromkeys(["%", "percent", "per cent", "pct"], PERCENT),
    **dict.fromkeys(["percentage point", "percentage points", "pp"], POINTS),
    **dict.fromkeys(["basis point", "basis points", "bp", "bps"], "bp"),
    **dict.fromkeys(["times", "x", "fold"], TIMES),
}
_SCALES = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "mio": 6, "million": 6, "bn": 9, "b": 9, "billion": 9,
           "mrd": 9, "tn": 12, "trillion": 12}  # fmt: skip
CURRENCIES: Final = frozenset(code for code in _CURRENCIES if code != CENT)

_DIGITS = {"zero": "0", "one": "1", "two": "2", "three": "3"}
_MEASURES = "percent|per cent|percentage|basis|dollars?|euros?|pounds?|cents?"
_SMALL = re.compile(
    rf"\b(zero|one|two|three)(?=[\s-](?:{_MEASURES})\b)|\b(two|three)(?=[\s-](?:{'|'.join(_NOUNS.split())})s?\b)",
    re.I,
)
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SCALED = re.compile(
    r"(?<=\d)(?:[ \u00a0-]?(thousand|million|billion|trillion|mn|mio|bn|mrd|tn)|([kKmMbB]))\b"
)
_GROUPED = r"\d{1,2}(?:,\d\d)+,\d{3}|\d{1,3}(?:(?P<mark>[,.'’\u00a0\u2009\u202f ])\d{3})(?:(?P=mark)\d{3})*(?:[.,]\d{1,2}(?!\d))?"
_NUMBER = re.compile(
    r"(?<![\w.,§])(?P<sign>[-−]\s?)?(?P<before>(?:US|us|A|C)?\$|[€£¥₹₿]|USD|EUR|GBP|CHF|JPY)?\s?(?P<inner>[-−])?"
    rf"(?P<number>(?:{_GROUPED})(?![\d])|\d+(?:[.,]\d+)?)(?:§(?P<scale>\d+))?(?P<ordinal>(?:st|nd|rd|th)s?\b)?"
    r"(?P<after>[\s\u00a0-]{0,2}(?:%|percentage[\s-]points?|per\s?cent\b|basis[\s-]points?|[€£¥$¢]|(?:US\s)?[^\W\d_]+))?"
)  # fmt: skip
_RANGE = re.compile(r"\s*(?:-|–|—|to|and|or|through)\s*\Z", re.I)
_APPROXIMATE = re.compile(
    r"\b(?:about|around|roughly|nearly|almost|approximately|approx\.?|circa|some|over|under|just"
    r"|(?:more|less|fewer) than|close to|up to)\s*[\W]{0,3}\Z|[~≈]\s?\Z", re.I)  # fmt: skip
_PER = re.compile(
    r"\s*(?:a|an|per|each|every|/)\s*(day|week|month|quarter|year|share|unit|trade|order)\b", re.I
)
_MOST_ERROR = Decimal("0.05")


class Quantity(msgspec.Struct, frozen=True):
    """A number as it stands in a text. `values` has two readings for what may be 1000 or 1 ("1.000")."""

    values: tuple[Decimal, ...]
    unit: str | None
    place: int
    """The power of ten of its last digit that is shown: -2 for 1.25, 3 for "5 thousand"."""
    approximate: bool
    start: int
    text: str
    per: str | None = None
    """The time after "a", "per" or "every": 5% a year."""


def quantities(text: str) -> list[Quantity]:
    """Every number in a text, also those in words, in order; list numbers and small ordinals are not."""
    plain = spelled_out(text)
    found: list[Quantity] = []
    for match in _NUMBER.finditer(plain):
        if _is_list_number(plain, match) or match["ordinal"]:
            continue
        quantity = _quantity(plain, match)
        # "5 to 10 dollars": the first takes the unit of the second.
        if found and found[-1].unit is None and quantity.unit is not None:
            between = plain[found[-1].start + len(found[-1].text) : match.start()]
            if _RANGE.match(between):
                found[-1] = msgspec.structs.replace(found[-1], unit=quantity.unit)
        found.append(quantity)
    return found


def spelled_out(text: str) -> str:
    """The text with digits for number words, one digit script, and without invisible characters."""
    text = (
        unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("−", "-").replace("٪", "%")
    )
    text = "".join(str(unicodedata.digit(sign)) if sign.isdigit() else sign for sign in text)
    text = _SCALED.sub(lambda match: f"§{_SCALES[(match[1] or match[2]).lower()]}", text)
    # The library takes a lone "two" for a pronoun, which before a unit it is not.
    text = _SMALL.sub(lambda match: _DIGITS[match[0].lower()], text)
    spelled: str = alpha2digit(text, "en")
    return spelled


def _is_list_number(text: str, match: re.Match[str]) -> bool:
    line_start = not text[: match.start()].rpartition("\n")[2].strip(" >")
    return line_start and bool(re.match(r"[.)]\s", text[match.end("number") :]))


def _quantity(text: str, match: re.Match[str]) -> Quantity:
    negative = bool(match["sign"] or match["inner"])
    scale = int(match["scale"] or 0)
    readings = [(value, place) for value, place in _readings(match["number"])]
    unit = _unit(match["before"], match["after"])
    shift = scale
    if unit == "bp":
        unit, shift = POINTS, scale - 2
    values = tuple((-value if negative else value).scaleb(shift) for value, _ in readings)
    before = text[max(0, match.start() - 24) : match.start()]
    end = match.end("ordinal") if match["ordinal"] else match.end("number")
    return Quantity(
        values=values,
        unit=unit,
        place=readings[0][1] + shift,
        approximate=bool(_APPROXIMATE.search(before)),
        start=match.start(),
        text=text[match.start() : max(end, match.end("scale"))],
        per=_per(text[match.end() : match.end() + 24]),
    )


def _readings(number: str) -> Iterator[tuple[Decimal, int]]:
    """What a number with separators can mean, each with the place of its last digit."""
    digits = re.sub(r"['’\u00a0\u2009\u202f ]", "", number)
    separators = re.findall(r"[.,]", digits)
    grouped = re.fullmatch(r"\d{1,3}(?:([.,])\d{3})+(?:[.,]\d+)?", digits)
    if not separators:
        yield Decimal(digits), 0
    elif len(set(separators)) == 2 or digits.count(separators[0]) > 1:
        # 1,234.56 and 1.234,56 and 1,234,567: only the last kind can be a decimal point.
        last = separators[-1] if separators.count(separators[-1]) == 1 else ""
        whole, _, part = digits.rpartition(last) if last else (digits, "", "")
        yield _decimal(re.sub(r"[.,]", "", whole), part)
    elif grouped:
        yield Decimal(re.sub(r"[.,]", "", digits)), 0
        if separators[0] == ".":
            yield _decimal(*digits.split("."))
    else:
        yield _decimal(*re.split(r"[.,]", digits))


def _decimal(whole: str, part: str) -> tuple[Decimal, int]:
    return Decimal(f"{whole}.{part}" if part else whole), -len(part)


def _unit(before: str | None, after: str | None) -> str | None:
    if before:
        return _UNITS[before.lower()]
    word = re.sub(r"[\s-]+", " ", (after or "").strip(" -\u00a0\n")).lower().removeprefix("us ")
    return _UNITS.get(word) or _UNITS.get(word.replace("percent age", "percentage"))


def _per(after: str) -> str | None:
    match = _PER.match(after)
    return _UNITS[match[1].lower()] if match else None


def vouches(source: Quantity, said: Quantity, *, computed: bool = False) -> bool:
    """Whether a number of a source is the number that is said, in its unit and with its sign.

    Rounding is allowed where it is announced ("about") and of what was `computed`.
    """
    if source.per and said.per and source.per != said.per:
        return False
    factors = _factors(source.unit, said.unit, computed=computed)
    return any(
        _same(value * factor, told, said, computed=computed)
        for factor in factors
        for value in source.values
        for told in said.values
    )


def _factors(source: str | None, said: str | None, *, computed: bool) -> list[Decimal]:
    """By what to multiply a source's value so that it is in the unit that is said; none: units differ."""
    one, hundred = Decimal(1), Decimal(100)
    if source == said:
        return [one]
    if said == PERCENT and source is None:
        return [hundred]
    if said is None and source == PERCENT:
        return [1 / hundred]
    if said == CENT and source in CURRENCIES:
        return [hundred]
    if source == CENT and said in CURRENCIES:
        return [1 / hundred]
    # A computed number has no unit of its own; a plain number may leave out what is counted.
    if source is None and computed:
        return [one]
    if said is None and source not in (PERCENT, POINTS, CENT, *CURRENCIES):
        return [one]
    if source is None and said not in (PERCENT, POINTS, CENT, *CURRENCIES):
        return [one]
    return []


def _same(value: Decimal, told: Decimal, said: Quantity, *, computed: bool) -> bool:
    if value == told:
        return True
    if not (computed or said.approximate) or not told or not value:
        return False
    step = Decimal(1).scaleb(said.place)
    while step and not told % step.scaleb(1) and said.approximate:
        step = step.scaleb(1)  # "about 1,600": the zeros are not meant
    rounded = {value.quantize(step, mode) for mode in (ROUND_HALF_UP, ROUND_HALF_EVEN)} if (
        step <= abs(value) * 10
    ) else set()  # fmt: skip
    return told in rounded and abs(told - value) <= _MOST_ERROR * abs(value)
