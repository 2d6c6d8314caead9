"""The quantities in a question: its text with a tag for each, so that what it asks can be read off."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

import msgspec
from text_to_num import alpha2digit

_UNIT = r"(?:years?|yrs?|months?|weeks?|decades?|percent|per cent|%|dollars?|bucks|euros?|pounds?|shares?|coins?|units?)"
_ALONE = re.compile(
    rf"\b(one|two|three)\b(?=[\s-]+(?:and a half[\s-]+|and a quarter[\s-]+)?{_UNIT}\b)"
)
_DIGIT = {"one": "1", "two": "2", "three": "3"}
_FRACTION = {"half": Decimal("0.5"), "quarter": Decimal("0.25"), "third": Decimal(1) / 3}
# Names that hold a number, and ages: nothing to calculate with.
_NAMES = re.compile(
    r"\bs ?(?:&|and) ?p ?500\b|\b(?:nasdaq|ftse|dow|russell|nikkei|stoxx|dax|top|fortune)[ -]?\d+\b"
    r"|\b4(?:01|03) ?\(?[kb]\)?|\b529\b|\brule of \d+\b"
    r"|\b(?:i'?m|i am|aged?|turn(?:ing)?) \d{1,2}\b(?! ?(?:%|percent|per cent|k\b|months?\b|and a half))(?: years? old\b)?"
    r"|\b(?:on )?the \d{1,2}(?:st|nd|rd|th)(?: day)?(?: of)?(?= )"
    r"|\b\d{1,2}[ -]years?[ -]old\b"
)
_SCALES = {
    "k": 3, "grand": 3, "thousand": 3, "m": 6, "mn": 6, "mio": 6, "mil": 6, "million": 6, "millions": 6,
    "bn": 9, "b": 9, "billion": 9, "lakh": 5, "lakhs": 5, "crore": 7, "crores": 7,
}  # fmt: skip
_CURRENCIES = {
    "$": "$", "us$": "$", "usd": "$", "dollar": "$", "buck": "$", "€": "€", "eur": "€", "euro": "€",
    "£": "£", "gbp": "£", "pound": "£", "quid": "£", "¥": "¥", "yen": "¥", "jpy": "¥", "₹": "₹", "inr": "₹",
    "rupee": "₹", "rs": "₹", "chf": "CHF ", "franc": "CHF ",
}  # fmt: skip
_SIGN = r"us\$|[$€£¥₹]|(?:usd|eur|gbp|chf|jpy|inr|rs)\b\.?"
_NUMBER = re.compile(
    rf"(?<![\w<.])(?P<before>{_SIGN})?\s?(?P<minus>(?<!\w)-)?(?P<digits>\d{{1,3}}(?:(?P<group>[,.'\u00a0\u202f])\d{{3}})(?:(?P=group)\d{{3}})*"
    r"(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?)(?P<half> and a (?:half|quarter|third))?"
    r"(?:(?P<short>k|m|b|bn|mn)\b|[ -]?(?P<scale>thousand|grand|mio|mil|millions?|billion|mn|bn|lakhs?|crores?|k)\b)?"
    r"(?:(?P<percent>\s?(?:%|percent\b|per cent\b|pct\b))|\s?(?P<basis>basis points?\b|bps\b)"
    r"|[\s-]?(?P<time>years?|yrs?|y|months?|mths?|mos?|weeks?|wks?|decades?|days?)\b"
    rf"|\s?(?P<after>us\$|[$€£¥₹]|(?:usd|eur|gbp|chf|jpy|inr|rs|dollars?|bucks?|euros?|pounds?|quid|yen|rupees?|francs?)\b)|(?!\w))"
)
_PER_YEAR = {"year": 1, "yr": 1, "annum": 1, "annual": 1, "quarter": 4, "month": 12, "mo": 12, "mth": 12,
             "week": 52, "wk": 52, "day": 365, "dai": 365}  # fmt: skip
_PERIOD = re.compile(
    r"(?:\b(?:per|an?|each|every)|/)\s?(year|yr|annum|quarter|month|mo|mth|week|wk|day)\b"
    r"|\b(year|annual|quarter|month|week|dai)ly\b|\b(annual)\b|\b(p\.?\s?a\.?)(?=\W|$)"
)
_IN_A_YEAR = re.compile(r"\b(?:in|since|by|until|till|year) $")
_RANGE = re.compile(r"<([mpy])\d+> ?(?:-|–|to|or|/) ?<p\d+>|<y\d+> ?(?:-|–|to|or) ?<y\d+>")


class Asked(msgspec.Struct):
    """`text` has <m0> for an amount or plain number, <p0> for a percentage, <y0> for a time, <f12> for "a month".

    `percents` are fractions, `years` may be parts of a year.
    """

    text: str
    amounts: list[Decimal] = []
    percents: list[Decimal] = []
    years: list[Decimal] = []
    currency: str = ""
    ambiguous: bool = False
    """A number that can be read in two ways or not at all, a range of rates, or two currencies."""


def read(question: str) -> Asked:
    """The question in lower case with its quantities tagged."""
    asked = Asked("")
    text = _NAMES.sub(" ", _in_digits(question))
    asked.text = _NUMBER.sub(lambda match: _tag(match, asked), text)
    left_over = re.search(r"\d", re.sub(r"<\w+>", "", asked.text))
    asked.ambiguous = asked.ambiguous or bool(left_over or _RANGE.search(asked.text))
    asked.text = _PERIOD.sub(_period, asked.text)
    asked.text = " ".join(asked.text.split())
    return asked


def _in_digits(question: str) -> str:
    text = unicodedata.normalize("NFKC", question).lower().replace("’", "'").replace("−", "-")
    # Signs that have a meaning of their own below.
    text = re.sub(r"[<>§]", " ", text)
    text = _ALONE.sub(lambda match: _DIGIT[match[1]], text)
    # Before the library speaks: "15 000" is one number, what it makes of "two hundred 15" is two.
    text = re.sub(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d.,])", lambda m: m[0].replace(" ", ""), text)
    text = re.sub(r"(?<![\d.,])(\d{1,2}) hundred\b", r"\g<1>00", text)
    text = re.sub(r"(?<=\d)[ -]?(thousand|million|billion)\b", r"§\1", text)
    text = alpha2digit(text, "en")
    text = text.replace("§", " ")
    # "half a million" and "1.5 million" leave the library with their parts side by side.
    text = re.sub(r"\bhalf an? (10+)\b", lambda match: str(int(match[1]) // 2), text)
    text = re.sub(r"\bhalf an? (percent|per cent|year|decade)\b", r"0.5 \1", text)
    text = re.sub(
        r"(?<![\d.,])(\d+\.\d+|\d{1,2}) (1000000000|1000000|1000)\b",
        lambda match: f"{Decimal(match[1]) * int(match[2]):f}",
        text,
    )
    return re.sub(r"\b(for|in|after|over|within) an? (year|decade|month)\b", r"\1 1 \2", text)


def _tag(match: re.Match[str], asked: Asked) -> str:
    value = _value(match, asked)
    if match["percent"] or match["basis"]:
        asked.percents.append(value / (100 if match["percent"] else 10_000))
        return f" <p{len(asked.percents) - 1}>"
    if match["time"]:
        asked.years.append(_in_years(value, match["time"]))
        return f" <y{len(asked.years) - 1}>"
    for sign in (match["before"], match["after"]):
        if sign:
            known = _CURRENCIES.get(sign.rstrip(".")) or _CURRENCIES[sign.rstrip(".s")]
            asked.ambiguous = asked.ambiguous or asked.currency not in ("", known)
            asked.currency = known
    alone = not (match["before"] or match["after"] or match["group"] or match["short"])
    if alone and 1900 <= value <= 2100 and _IN_A_YEAR.search(match.string[: match.start()] + " "):
        asked.ambiguous = True  # a calendar year: how long it is from now is not ours to say
    asked.amounts.append(value)
    return f" <m{len(asked.amounts) - 1}>"


def _value(match: re.Match[str], asked: Asked) -> Decimal:
    digits, group = match["digits"], match["group"]
    if group == "." and digits.count(".") == 1 and "," not in digits and not match["percent"]:
        # 1.000 is a thousand to some and one to others.
        asked.ambiguous = True
    if group and not (group == "." and match["percent"]):
        whole, point, part = digits.rpartition("." if group != "." else ",")
        digits = re.sub(r"\D", "", whole if point else digits) + (f".{part}" if point else "")
    value = Decimal(digits.replace(",", "."))
    if match["half"]:
        value += _FRACTION[match["half"].split()[-1]]
    scale = match["short"] or match["scale"]
    value = value.scaleb(_SCALES[scale]) if scale else value
    return -value if match["minus"] else value


def _in_years(value: Decimal, unit: str) -> Decimal:
    if unit.startswith("dec"):
        return value * 10
    return value / {"m": 12, "w": 52, "d": 365, "y": 1}[unit[0]]


def _period(match: re.Match[str]) -> str:
    word = match[1] or match[2] or match[3]
    return f" <f{_PER_YEAR[word] if word else 1}> "
