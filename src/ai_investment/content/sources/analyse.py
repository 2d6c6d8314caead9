"""Topic, level, reading grade and key terms of a text, by counting and without a model."""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from ai_investment.content.sentences import sentences

# Topics as the starter library has them; a text gets the one whose terms it uses most.
TERMS: dict[str, tuple[str, ...]] = {
    "shares": ("share", "stock", "equity", "shareholder", "dividend", "earnings", "ipo", "buyback",
               "stock split", "voting right", "price-earnings ratio", "market capitalisation"),
    "bonds": ("bond", "coupon", "maturity", "yield", "treasury", "gilt", "duration", "issuer",
              "credit rating", "default", "fixed income", "government debt"),
    "funds": ("fund", "etf", "exchange-traded fund", "index fund", "mutual fund", "index", "tracker",
              "net asset value", "prospectus", "benchmark", "money market fund", "ucits"),
    "fees": ("fee", "expense ratio", "commission", "spread", "front-end load",
             "ongoing charge", "management fee", "transaction cost"),
    "risk": ("risk", "volatility", "drawdown", "diversification", "hedge", "leverage", "standard deviation",
             "loss", "liquidity", "counterparty", "stress test"),
    "economy": ("inflation", "interest rate", "central bank", "monetary policy", "gdp", "unemployment",
                "recession", "rate decision", "consumer price index", "exchange rate", "price stability"),
    "saving": ("saving", "savings account", "emergency fund", "budget", "deposit", "compound interest",
               "retirement", "pension", "debt", "credit card"),
    "portfolio": ("portfolio", "asset allocation", "rebalancing", "asset class", "dollar-cost averaging",
                  "index investing", "time horizon"),
    "safety": ("fraud", "scam", "ponzi", "phishing", "broker check", "boiler room", "unregistered",
               "investor protection", "complaint", "red flag", "pump-and-dump", "identity theft"),
    "markets": ("market", "exchange", "bid-ask spread", "broker", "trading", "limit order", "short sale",
                "market maker", "clearing", "settlement", "futures", "option"),
    "taxes": ("tax", "capital gain", "withholding", "tax-free", "isa", "401(k)", "ira", "taxable",
              "tax return", "deduction", "allowance"),
}  # fmt: skip
_MOST_TERMS = 10
_FEWEST_USES = 3


class Analysis(msgspec.Struct, frozen=True):
    topic: str | None
    level: str
    grade: float
    key_terms: list[str]


def analyse(text: str) -> Analysis:
    """What a text is about and for whom. `topic` is null where no topic stands out."""
    uses = _uses(text)
    by_topic = {
        # Terms of several words say more than one that has other meanings too.
        topic: sum(uses[term] * (2 if " " in term or "-" in term else 1) for term in terms)
        for topic, terms in TERMS.items()
    }
    topic = max(by_topic, key=lambda name: by_topic[name])
    key_terms = [term for term, _ in uses.most_common(_MOST_TERMS)]
    grade = reading_grade(text)
    return Analysis(
        topic=topic if by_topic[topic] >= _FEWEST_USES else None,
        level=_level(grade, uses, text),
        grade=grade,
        key_terms=key_terms,
    )


def reading_grade(text: str) -> float:
    """The Coleman-Liau index, rounded and never below 0: 0.0588 L - 0.296 S - 15.8, with letters (L) and
    sentences (S) per 100 words. M. Coleman, T. L. Liau: A computer readability formula designed for
    machine scoring. Journal of Applied Psychology 60 (1975), 283-284."""
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text)
    if not words:
        return 0.0
    letters = sum(sum(map(str.isalpha, word)) for word in words)
    index = (
        0.0588 * letters / len(words) * 100 - 0.296 * len(sentences(text)) / len(words) * 100 - 15.8
    )
    return max(0.0, round(index, 1))


def _uses(text: str) -> Counter[str]:
    """How often each term is used, in singular or plural; a longer term takes its words from the shorter."""
    found = Counter(match.lower() for match in _PATTERN.findall(text))
    uses: Counter[str] = Counter()
    for word, times in found.items():
        uses[_SINGULAR.get(word, word)] += times
    return uses


def _level(grade: float, uses: Counter[str], text: str) -> str:
    """By how hard it reads and how thick the terms stand."""
    words = max(1, len(text.split()))
    density = sum(uses.values()) / words
    score = grade + 40 * density
    return "beginner" if score < 13 else "intermediate" if score < 18 else "advanced"


def _plural(term: str) -> str:
    return term[:-1] + "ies" if term.endswith("y") and term[-2:-1] not in "aeiou" else term + "s"


_ALL = sorted({term for terms in TERMS.values() for term in terms}, key=len, reverse=True)
_SINGULAR = {_plural(term): term for term in _ALL}
_PATTERN = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(re.escape(form) for term in _ALL for form in (_plural(term), term))
    + r")(?![\w-])",
    re.I,
)
