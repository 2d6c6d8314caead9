"""Which quantity of a question is what: the deposit, the sum, the rate of growth, how often."""

from __future__ import annotations

import re

import msgspec

_OF_RATE = "interest|returns?|growth|grow(?:s|ing)?|gains?|rates?|earn(?:s|ing)?|yielding|inflation|fees?|charges?|expense ratio|ter"
_FILLERS = "of|is|at|about|the|an?|and|with|nominal|fixed|average|compound|compounded|compounding|effective|steady|some|around|roughly"
_RATE_THEN_TIME = re.compile(
    rf"(<p\d+>)(?: (?:{_OF_RATE}|{_FILLERS}))*? <f(\d+)>(?: (?:{_OF_RATE})\b)*"
)
_TIME_THEN_RATE = re.compile(
    rf"<f(\d+)>(?: (?:{_OF_RATE}))(?: (?:{_OF_RATE}|{_FILLERS}))* (<p\d+>)"
)
_COMPOUNDED = re.compile(r"\bcompound(?:s|ed|ing)?(?: (?:interest|is|it|are))* <f(\d+)>")
_HOW_COMPOUNDED = re.compile(r"<f(\d+)> compound(?:ed|ing)?\b")
_INTO = "in|into|to|aside|away|by|more|extra|it|my|the|an?|savings?|account|funds?|etfs?|index|isa|stocks?|deposits?|deposited|contributions?|payments?|invested|saved"
_AMOUNT_THEN_TIME = re.compile(rf"<m(\d+)>(?:,? (?:{_INTO})){{0,5}} <f(\d+)>")
_DOING = (
    "deposits?|contributions?|savings?|payments?|investments?|investing|instal?ments?|additions?|i|we|you|one|if|and|save|put|invest"
    "|add|deposit|contribute|contributing|pay|paying|set|saving|putting|adding|away|aside|in|another|of|is|are|about|only|just|plus"
)
_TIME_THEN_AMOUNT = re.compile(rf"<f(\d+)>(?::|,)?(?: (?:{_DOING})\b:?)* <m(\d+)>")
_GROWTH = re.compile(
    r"\b(?:returns?|growth|grow|grows|growing|earn|earns|earning|gains?|market|invested at|before fees)\b(?: (?!and\b|with\b|or\b|vs\b)[\w']+){0,3} <p(\d+)>"
    r"|<p(\d+)>(?: (?:<f1>|average|gross|before))* (?:returns?|growth|gains?|before fees)\b"
)
_MOMENT = re.compile(r"\b(?:at|on) the (start|beginning|first day|end) of (<f\d+>)")


class Roles(msgspec.Struct):
    """Numbers are those of the tags; times are how often a year."""

    deposit: tuple[int, int] | None
    """An amount that is paid again and again, and how often a year."""
    others: list[int]
    """The other amounts."""
    loose: list[int]
    """Times that belong to no amount and no rate."""
    growth: int | None
    """The percentage that is said to be a return, where another may be a fee."""
    rate_per_year: int
    """How often a year the rate is earned: 12 for "1% a month"."""
    compounding: int | None
    at_start: bool

    def timing(self) -> int | None:
        """Periods per year of rate and deposits; None when they do not fit each other."""
        said = {self.compounding, self.deposit[1] if self.deposit else None} - {None}
        if self.rate_per_year != 1:
            said |= {self.rate_per_year}
        return said.pop() if len(said) == 1 else 1 if not said else None


def roles(text: str) -> Roles:
    """The roles of the quantities in a tagged text."""
    growth = next((int(match[1] or match[2]) for match in _GROWTH.finditer(text)), None)
    rate_per_year, compounding = 1, None
    moment = _MOMENT.search(text)
    if moment:
        text = _MOMENT.sub(" " if text.count(moment[2]) > 1 else r" \2", text)
    if match := _COMPOUNDED.search(text) or _HOW_COMPOUNDED.search(text):
        compounding = int(match[1])
        text = text[: match.start()] + " " + text[match.end() :]
    while match := _RATE_THEN_TIME.search(text):
        rate_per_year, text = int(match[2]), _without_time(match, match[1])
    while match := _TIME_THEN_RATE.search(text):
        rate_per_year, text = int(match[1]), _without_time(match, match[2])
    text = " ".join(text.split())
    deposit = None
    if match := _AMOUNT_THEN_TIME.search(text):
        deposit = int(match[1]), int(match[2])
    elif match := _TIME_THEN_AMOUNT.search(text):
        deposit = int(match[2]), int(match[1])
    if match:
        text = text[: match.start()] + text[match.end() :]
    return Roles(
        deposit=deposit,
        others=[int(number) for number in re.findall(r"<m(\d+)>", text)],
        loose=[int(times) for times in re.findall(r"<f(\d+)>", text)],
        growth=growth,
        rate_per_year=rate_per_year,
        compounding=compounding,
        at_start=bool(moment and moment[1] != "end"),
    )


def _without_time(match: re.Match[str], rate: str) -> str:
    return f"{match.string[: match.start()]}{rate}{match.string[match.end() :]}"
