"""Recognising a question that is plainly a calculation, and computing it: no model, no guess."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ai_investment.answers.asked import Asked, read
from ai_investment.answers.models import Computed
from ai_investment.answers.plain import is_plain
from ai_investment.answers.roles import Roles, roles
from ai_investment.answers.telling import ASSUMED_RETURN, Sum, tell
from ai_investment.calculators.inputs import convert
from ai_investment.calculators.registry import named

_LONGEST = 400
_LONGEST_TIME = 120
_HIGHEST_RATE = 1

# A judgement, a promise or a product with rules of its own: nothing that a formula answers.
_NO_SUM = re.compile(
    r"\b(?:safe|scam\w*|fraud\w*|legit\w*|fake|trust\w*|believ\w+|guarante\w+|promis\w+|realistic\w*|likely|likelihood"
    r"|tax\w*|bonds?|coupons?|dividends?|yields?|simple interest|options?|leverag\w+|margin|withdraw\w*|pension"
    r"|social security|employer|match(?:es|ed|ing)?|salary|real returns?|minus"
    r"|better|best|worse|worst|recommend\w*|advi[sc]e\w*|opinion|wise|smart|good idea|worth it)\b"
    # "How much should I save" asks for a sum, "should I borrow" for an opinion.
    r"|(?<!how much )\b(?:should|shall) (?:i|we|my)\b"
)
_JUDGED = re.compile(
    r"\b(?:should|possible|why|difference|risky?|lose|loses|lost|losing|falls?|fell|drops?|dropped|crash\w*"
    r"|enough|good|bad|normal|or)\b"
)
_FEES = re.compile(
    r"\b(?:fees?|expense ratios?|ter|charges?|charging)\b"
    r"|\bcosts? (?:of |is |are )?<p\d+>|<p\d+>(?: <f1>)?(?: in| of)? costs?\b"
)
_INFLATION = re.compile(
    r"\binflation\b|\b(?:purchasing|buying) power\b|\bprices (?:rise|go up|increase|grow)\b"
)
_LOAN = re.compile(
    r"\b(?:loans?|mortgages?|borrow\w*|repay\w*|pay(?:ing)? (?:it )?(?:back|off)|financ\w+|debts?)\b"
)
_NO_PLAIN_LOAN = re.compile(
    r"\b(?:down ?payment|interest[- ]only|extra|early|balloon|refinanc\w+|card|already|left)\b"
)
_TIME = re.compile(
    r"\b(?:how (?:long|many (?:years|months|weeks|days)|soon)|when (?:will|would|do|can|could|does)|years? (?:does|will|would) it take|time to)\b"
)
_TIMES = {"doubl": 2, "tripl": 3, "quadrupl": 4}
_MULTIPLE = re.compile(r"\b(doubl|tripl|quadrupl)(?:e|es|ed|ing)\b")
_RATE = re.compile(
    r"\bcagr\b|\bgrowth rate\b|\bannuali[sz]ed\b|\brate of return\b|\bwhat (?:kind of )?(?:interest |growth )?(?:rate|return)\b"
    r"|<f1>(?: \w+){0,2} (?:growth|returns?|rate|gain)\b|\b(?:returns?|rate|growth|gain)(?: \w+){0,3} <f1>"
)
_SAVE = re.compile(
    r"\bhow much\b.*\b(?:sav(?:e|ing)|invest|put|set|deposit|contribute|pay|need|have to)\b|\bwhat (?:deposit|contribution)\b"
)
_PUT_BY = re.compile(
    r"\bsav(?:e|es|ing)\b|\b(?:put|set|lay)(?:ting)? (?:by|aside|away)\b|\bpocket money\b|\ballowance\b"
)
_PUT_TO_WORK = re.compile(
    r"\b(?:invest\w*|stocks?|shares?|funds?|etfs?|crypto|bitcoin|interest|returns?|accounts?|bank)\b"
)
_AVERAGE = re.compile(
    r"\baverage (?:\w+ )?(?:cost|price)\b|\bcost basis\b|\baverage(?:d)? (?:up|down)\b|\bcost average\b"
)
_BOUGHT = re.compile(
    r"<m(\d+)>(?: more)?(?: (?:shares?|units?|coins?|stocks?|pieces?|of \w+))* (?:at|@|for) <m(\d+)>"
)
_LIST = re.compile(
    r"<m(\d+)>(?: (?:shares?|units?|coins?|stocks?))*(?: (each))?(?: time)? (?:at|@|for) (<m\d+>(?:(?: ?,| and| then|, and)+ ?<m\d+>)+)"
)


def recognise(question: str) -> Computed | None:
    """The calculation a question plainly asks for, done; None when it asks for something else, leaves out a
    number that is needed, or can be read in two ways.
    """
    if len(question) > _LONGEST:
        return None
    asked = read(question)
    if asked.ambiguous or _NO_SUM.search(asked.text) or not _sane(asked):
        return None
    if not is_plain(asked.text):
        return None
    known = roles(asked.text)
    for kind in (_average, _fees, _inflation, _loan, _rate, _goal, _growth):
        if found := kind(asked, known):
            return _computed(found, asked, known)
    return None


# What the library can say to a sum: its idea. Its numbers would find other sums.
_IDEAS = {
    "compound_interest": "What is compound interest?",
    "savings_goal": "What is compound interest?",
    "fee_drag": "What do fees cost over many years?",
    "inflation": "What does inflation do to the value of money?",
    "loan": "How does the interest on a loan work?",
    "cagr": "What is the compound annual growth rate?",
    "average_cost": "What is the average cost per unit?",
}


def idea_of(computed: Computed) -> str:
    """The question that a library answers about this calculation."""
    if computed.inputs.get("goal") == 2 * computed.inputs.get("principal", 0):
        return "How long does money take to double?"
    return _IDEAS[computed.name]


def _sane(asked: Asked) -> bool:
    return (
        all(0 < years <= _LONGEST_TIME for years in asked.years)
        and all(0 <= rate <= _HIGHEST_RATE for rate in asked.percents)
        and all(amount > 0 for amount in asked.amounts)
    )


def _computed(found: Sum, asked: Asked, known: Roles) -> Computed | None:
    calculator = named(found.name)
    done = calculator(convert(calculator, found.inputs))
    if done.result is None:
        return None
    return Computed(
        name=found.name,
        inputs={name: _as_json(value) for name, value in found.inputs.items()},
        result=done.result,
        formula=done.formula,
        explanation=tell(found, done, currency=asked.currency, known=known),
    )


def _as_json(value: Any) -> Any:
    """Decimals as numbers, whole ones without a point."""
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _counts(asked: Asked) -> tuple[int, int, int]:
    return len(asked.amounts), len(asked.percents), len(asked.years)


def _average(asked: Asked, known: Roles) -> Sum | None:
    """Purchases at several prices: "3 shares at 10, 12 and 14", "10 at $5 and 20 at $8"."""
    if not _AVERAGE.search(asked.text) or asked.percents or asked.years:
        return None
    amounts = asked.amounts
    pairs = [(int(units), int(price)) for units, price in _BOUGHT.findall(asked.text)]
    if len(pairs) > 1 and 2 * len(pairs) == len(amounts):
        bought = [[amounts[units], amounts[price]] for units, price in pairs]
        return Sum("average_cost", {"purchases": bought})
    if match := _LIST.search(asked.text):
        prices = [amounts[int(number)] for number in re.findall(r"\d+", match[3])]
        units = amounts[int(match[1])]
        if len(prices) + 1 != len(amounts) or not (match[2] or units == len(prices)):
            return None
        each = units if match[2] else Decimal(1)
        return Sum("average_cost", {"purchases": [[each, price] for price in prices]})
    return None


def _fees(asked: Asked, known: Roles) -> Sum | None:
    """What a fee takes over the years, or one fee against another."""
    if not _FEES.search(asked.text) or _INFLATION.search(asked.text):
        return None
    if known.deposit or known.loose:
        return None
    if len(asked.amounts) != 1 or len(asked.years) != 1 or not 1 <= len(asked.percents) <= 3:
        return None
    fees = [number for number in range(len(asked.percents)) if number != known.growth]
    if (known.growth is None and len(asked.percents) == 3) or not 1 <= len(fees) <= 2:
        return None
    rates = sorted((asked.percents[number] for number in fees), reverse=True)
    if rates[0] > Decimal("0.1"):
        return None
    growth = ASSUMED_RETURN if known.growth is None else asked.percents[known.growth]
    inputs = {"principal": asked.amounts[0], "annual_return": growth, "annual_fee": rates[0],
              "years": asked.years[0]}  # fmt: skip
    if len(rates) == 2:
        inputs["other_annual_fee"] = rates[1]
    return Sum("fee_drag", inputs)


def _inflation(asked: Asked, known: Roles) -> Sum | None:
    """What an amount will buy, or cost, after years of rising prices."""
    if not _INFLATION.search(asked.text) or _FEES.search(asked.text):
        return None
    if _counts(asked) != (1, 1, 1) or known.deposit or known.loose or known.rate_per_year != 1:
        return None
    inputs = {"amount": asked.amounts[0], "annual_rate": asked.percents[0], "years": asked.years[0]}
    return Sum("inflation", inputs)


def _loan(asked: Asked, known: Roles) -> Sum | None:
    """The payment on a loan that is paid back in equal parts."""
    if not _LOAN.search(asked.text) or _NO_PLAIN_LOAN.search(asked.text):
        return None
    if (
        _counts(asked) != (1, 1, 1)
        or known.deposit
        or len(known.loose) > 1
        or known.rate_per_year != 1
    ):
        return None
    inputs = {"principal": asked.amounts[0], "annual_rate": asked.percents[0], "years": asked.years[0],
              "periods_per_year": Decimal(known.loose[0] if known.loose else 12)}  # fmt: skip
    return Sum("loan", inputs)


def _rate(asked: Asked, known: Roles) -> Sum | None:
    """The yearly growth that leads from one amount to another."""
    if not _RATE.search(asked.text) or asked.percents or len(asked.years) != 1:
        return None
    # Whatever "per year" stands beside here is the rate that is asked for.
    if re.search(r"<f(?!1>)", asked.text):
        return None
    multiple = _MULTIPLE.search(asked.text)
    if len(asked.amounts) == 2 and not multiple:
        begin, end = asked.amounts
    elif multiple and len(asked.amounts) <= 1:
        begin = asked.amounts[0] if asked.amounts else Decimal(1)
        end = begin * _TIMES[multiple[1]]
    else:
        return None
    return Sum("cagr", {"begin": begin, "end": end, "years": asked.years[0]})


def _goal(asked: Asked, known: Roles) -> Sum | None:
    """How long it takes to reach an amount, or what to pay in to reach it in time.

    Money that is only put by earns nothing; of what is invested the rate has to be said.
    """
    put_by = _PUT_BY.search(asked.text) and not _PUT_TO_WORK.search(asked.text)
    if not (len(asked.percents) == 1 or (put_by and not asked.percents)):
        return None
    if known.growth is None and _FEES.search(asked.text):
        return None
    if _LOAN.search(asked.text) or _INFLATION.search(asked.text):
        return None
    others = sorted(asked.amounts[number] for number in known.others)
    if _TIME.search(asked.text) and not asked.years and not known.loose:
        return _time_to(asked, known, others)
    saving = _SAVE.search(asked.text) and len(known.loose) == 1 and not known.deposit
    if not saving or len(asked.years) != 1 or not 1 <= len(others) <= 2:
        return None
    per_year = Decimal(known.loose[0])
    if known.compounding not in (None, known.loose[0]) or known.rate_per_year != 1:
        return None
    inputs = {"goal": others[-1], "annual_rate": _rate_of(asked), "years": asked.years[0],
              "periods_per_year": per_year}  # fmt: skip
    if len(others) == 2:
        inputs["principal"] = others[0]
    return Sum("savings_goal", inputs)


def _time_to(asked: Asked, known: Roles, others: list[Decimal]) -> Sum | None:
    multiple = _MULTIPLE.search(asked.text)
    if multiple and not known.deposit and len(others) <= 1:
        principal = others[0] if others else Decimal(1)
        others = [principal, principal * _TIMES[multiple[1]]]
    elif multiple or not (len(others) == 2 or (len(others) == 1 and known.deposit)):
        return None
    timing = known.timing()
    if timing is None:
        return None
    inputs = {"goal": others[-1], "annual_rate": _rate_of(asked) * known.rate_per_year,
              "periods_per_year": Decimal(timing)}  # fmt: skip
    if len(others) == 2:
        inputs["principal"] = others[0]
    if known.deposit:
        inputs["deposit_per_period"] = asked.amounts[known.deposit[0]]
    return Sum("savings_goal", inputs)


def _rate_of(asked: Asked) -> Decimal:
    return asked.percents[0] if asked.percents else Decimal(0)


def _growth(asked: Asked, known: Roles) -> Sum | None:
    """A sum, deposits or both that grow at a rate for a time."""
    text = asked.text
    if any(pattern.search(text) for pattern in (_JUDGED, _FEES, _INFLATION, _LOAN, _MULTIPLE)):
        return None
    if len(asked.percents) != 1 or len(asked.years) != 1 or known.loose:
        return None
    timing = known.timing()
    if len(known.others) > 1 or timing is None or not asked.amounts:
        return None
    inputs: dict[str, Any]
    inputs = {"principal": asked.amounts[known.others[0]] if known.others else Decimal(0),
              "annual_rate": asked.percents[0] * known.rate_per_year, "years": asked.years[0],
              "periods_per_year": Decimal(timing)}  # fmt: skip
    if known.deposit:
        inputs["deposit_per_period"] = asked.amounts[known.deposit[0]]
        inputs["deposit_at_start"] = known.at_start
    return Sum("compound_interest", inputs)
