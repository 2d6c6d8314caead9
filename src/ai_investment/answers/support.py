"""Whether a sentence says what its sources say: their words, names and direction."""

from __future__ import annotations

import re
import unicodedata

from ai_investment.answers.words import all_stems, content_stems

# Judgements that readers act on: they must be the source's, not the writer's.
_JUDGEMENTS = frozenset(
    all_stems(
        """safe safer safest unsafe risky riskier dangerous harmless best better worst worse ideal perfect
        guaranteed guarantee guarantees certain sure surely definitely always never impossible legal
        illegal insured protected cheap cheaper cheapest expensive free profitable worthless recommended
        recommend undervalued overvalued bankrupt fraud scam trustworthy reliable"""
    )
)
_NEGATIONS = frozenset(
    """not no never none nobody nothing neither nor cannot can't won't don't doesn't didn't isn't aren't
    wasn't weren't wouldn't shouldn't couldn't hasn't haven't without""".split()  # noqa: SIM905
)
# Of each line only what the source says: a word of it where the source has another one of it is a fault.
_EXCLUSIVE = [
    [set(all_stems(words)) for words in line.split("|")]
    for line in """
    day days daily|week weeks weekly|month months monthly|quarter quarters|year years yearly annual|decade decades
    rise rises rose risen rising increase increases increased grow grows grew grown climb climbed up|fall falls fell fallen falling decrease decreases decreased decline drop drops dropped shrink shrinks down
    gain gains gained profit profits|lose loses lost loss losses
    highest|lowest
    most|least
    higher above|lower below
    more|less fewer
    before|after
    buy buys buyer buyers bought|sell sells seller sellers sold
    cheap cheaper|costly expensive dearer
    bull|bear
    legal|illegal
    lender lenders lend|borrower borrowers borrow|owner owners own
    bondholder bondholders|shareholder shareholders
    asset assets|liability liabilities
    fixed|variable
    active actively|passive passively
    nominal|real
    easy easier|hard harder difficult
    short shorter|long longer
    safe safer safest|risky riskier
    physical|synthetic
    distributing|accumulating
    """.strip().split("\n")
]
# Words of the trade: a sentence that brings in one of them speaks of something else than its source.
_TERMS = frozenset(
    all_stems(
        """share stock bond fund etf index option future derivative crypto bitcoin coin token gold loan debt
        mortgage credit deposit insurance insured interest dividend coupon tax taxes fee commission broker
        bank adviser regulator pension inflation recession leverage short-selling portfolio volatility yield"""
    )
) - {"short", "sell"}
_CLAUSE = re.compile(
    r"[,;:—–]|\b(?:but|because|although|though|while|whereas|which|unless|if|when)\b", re.I
)
_SAME_CLAUSE, _WORD_FOR_WORD = 0.5, 0.9
# Words of denial that deny nothing.
_NO_DENIAL = re.compile(
    r"\bnothing but\b|\bnot (?:only|just|merely)\b(?=.*\bbut\b)|\bno (?:more|less|fewer) than\b|\bno matter\b",
    re.I,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NAME = re.compile(r"(?<=[\w,;)] )[\"“'(]?(?P<name>[A-Z]\w*[a-z]\w*|[A-Z]{2,})\b")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = re.compile(rf"\b(?:{'|'.join(_MONTHS)})\b")
_CODE = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d_])\w+\b")
_AMOUNT = re.compile(r"\d+(?:st|nd|rd|th|s|k|m|bn|b|mn|x|pp|bps|bp|p)", re.IGNORECASE)
# Words for multiples and parts, and what else in a source says the same.
_MULTIPLES = [
    (r"\btwice\b|\bdoubl\w+", r"\btwice\b|\bdoubl\w+|\b2\b|\btwo\b|\bx2\b"),
    (r"\btripl\w+|\bthreefold\b", r"\btripl\w+|\bthree|\b3\b"),
    (r"\bhalf\b|\bhalves\b|\bhalv(?:e|ed|ing)\b", r"\bhal(?:f|v)|\b50\b|\b0[.,]5\b|½"),
    (r"\b(?:one|a|two)[\s-]thirds?\b", r"\bthirds?\b|⅓|⅔|\b33|\b66|\b67"),
    (r"\b(?:one|a|three)[\s-]quarters?\b", r"\bquarter|¼|¾|\b25\b|\b75\b"),
    (r"\bdozens?\b", r"\bdozen|\b12\b"),
]
_LATIN_LIKE = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL")


def looks_alike(text: str) -> bool:
    """Whether letters of scripts that look alike are mixed as no honest writer does.

    In a word, or as whole words among mostly Latin ones; single letters ("β") are honest.
    """
    words = [{_script(sign) for sign in word} - {""} for word in re.findall(r"[^\W\d_]{2,}", text)]
    latin = sum(scripts == {"LATIN"} for scripts in words)
    foreign = sum(bool(scripts) and scripts != {"LATIN"} for scripts in words)
    return any(len(scripts) > 1 for scripts in words) or 0 < foreign < latin


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "").split(" ", 1)[0]
    return first if first in _LATIN_LIKE else ""


def overlap(text: str, source: str) -> float:
    """The share of a text's meaningful words that stand in a source; 1 for a text without any."""
    said = content_stems(text)
    known = set(all_stems(source))
    return sum(stem in known for stem in said) / len(said) if said else 1.0


def judges(text: str, source: str) -> set[str]:
    """Judgements in a text that its source does not make."""
    return (set(all_stems(text)) & _JUDGEMENTS) - set(all_stems(source))


def turned_round(text: str, nearest: str, told: str) -> bool:
    """Whether a sentence says that it is not so, or uses the other word of a pair: rises where it falls.

    `nearest` is the sentence of its sources that has most of its words, `told` all of what they say.
    """
    nearest = _NO_DENIAL.sub(" ", nearest)
    denied = _words(text) & _NEGATIONS
    if denied and not _words(told) & _NEGATIONS:
        return True
    same = [part for part in _CLAUSE.split(nearest) if overlap(part, text) >= _SAME_CLAUSE]
    denied_there = _words(" ".join(same)) & _NEGATIONS
    if denied_there and not denied:
        return True
    both_deny = bool(denied) and overlap(text, nearest) >= _WORD_FOR_WORD
    return both_deny and len(denied) != len(_words(nearest) & _NEGATIONS)


def exchanged(text: str, nearest: str, told: str) -> bool:
    """Whether a text has a word where its sources have the one that excludes it, or has them the other
    way round: month for year, sellers and buyers for buyers and sellers."""
    said, known, order = all_stems(text), set(all_stems(told)), all_stems(nearest)
    for line in _EXCLUSIVE:
        has = [not words.isdisjoint(said) for words in line]
        there = [not words.isdisjoint(known) for words in line]
        pairs = list(zip(has, there, strict=True))
        if any(a and not b for a, b in pairs) and any(b and not a for a, b in pairs):
            return True
        if sum(has) > 1 and _first_places(line, said) != _first_places(line, order):
            return sum(not words.isdisjoint(order) for words in line) > 1
    return False


def _first_places(line: list[set[str]], stems: list[str]) -> list[int]:
    """The members of a line in the order in which they come."""
    found = [next((n for n, words in enumerate(line) if stem in words), -1) for stem in stems]
    return list(dict.fromkeys(n for n in found if n >= 0))


def new_terms(text: str, known: str) -> set[str]:
    """Words of the trade in a text that its sources do not have."""
    return (set(all_stems(text)) & _TERMS) - set(all_stems(known))


def _words(text: str) -> set[str]:
    denying = _NO_DENIAL.sub(" ", text)
    return {match[0].lower().replace("’", "'") for match in _WORD.finditer(denying)}


def strangers(text: str, known: str, told: str) -> set[str]:
    """What a text has and its sources have not: names and codes in `known`, months and multiples in `told`."""
    stems = set(all_stems(known))
    unknown = {
        match["name"]
        for match in _NAME.finditer(text)
        if match["name"] not in _MONTHS
        and not set(all_stems(match["name"])) <= stems
        and not _stands_for(match["name"], known)
    }
    unknown |= {
        match[0]
        for match in _CODE.finditer(text)
        if match[0].lower() not in known.lower() and not _AMOUNT.fullmatch(match[0])
    }
    unknown |= {match[0] for match in _MONTH.finditer(text) if not _has_month(match[0], told)}
    unknown |= {
        said
        for said, alike in _MULTIPLES
        if re.search(said, text, re.I) and not re.search(alike, told, re.I)
    }
    return unknown


def _stands_for(name: str, known: str) -> bool:
    """Whether a short form is made of the first letters of words in the sources: UK, ECB, US."""
    if not name.isupper() or len(name) > 6:
        return False
    letters = r"\w+(?:[\s-]+(?:of|the|and|for))*[\s-]+".join(map(re.escape, name))
    return bool(re.search(rf"\b{letters}\w+", known, re.IGNORECASE))


def _has_month(month: str, known: str) -> bool:
    if month == "May" and not re.search(r"\bMay\b (?:\d|of\b)|\d May\b", known):
        return "May" in known
    number = _MONTHS.index(month) + 1
    iso = rf"\b\d{{4}}-{number:02d}(?:-\d\d)?\b"
    return bool(re.search(rf"\b{month[:3]}(?:\b|{month[3:]}\b)|{iso}", known, re.IGNORECASE))
