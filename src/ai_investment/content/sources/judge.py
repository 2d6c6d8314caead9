"""Whether a text is worth keeping: reasons against it, in words that an operator reads."""

from __future__ import annotations

import re
from collections import Counter

from ai_investment.content.extraction import Extracted
from ai_investment.content.reading import Study

# A page of fewer words says nothing that could be cited; news say it in a line.
_FEWEST_WORDS = 25
_FEWEST_WORDS_OF_NEWS = 4
# Notices are short; a long text that mentions cookies is about cookies.
_NOTICE_WORDS = 180
_NOTICES = {
    "a cookie or consent notice": re.compile(
        r"\b(?:we (?:and our partners )?(?:use|value)|this (?:site|website) uses|uses?) cookies\b"
        r"|accept (?:all )?cookies|cookie (?:consent|preferences|settings)|enable cookies"
        r"|before you continue\b|your privacy choices|\bGDPR consent\b",
        re.I,
    ),
    "a page that only people with a login can read": re.compile(
        r"\b(?:please )?(?:log|sign) in to (?:continue|read|view|access)|subscribe to (?:continue|read|unlock)"
        r"|subscribers? only|create a free account to|already a (?:member|subscriber)\?",
        re.I,
    ),
    "an error or robot-check page": re.compile(
        r"\baccess (?:denied|refused)\b|\bpage (?:you requested )?(?:was |could )?not (?:be )?found\b"
        r"|\b(?:error|http) ?(?:40[0-9]|50[0-9])\b|\brequest blocked\b|are you (?:a )?(?:human|robot)"
        r"|enable javascript|unusual traffic|undeclared (?:automated tool|program)|captcha"
        r"|service (?:temporarily )?unavailable|site is (?:down|under) (?:for )?maintenance",
        re.I,
    ),
}
# Bait, not teaching. An authority that warns of it says the same words, so official sources are let through.
_BAIT = re.compile(
    r"guaranteed (?:profits?|returns?|income)|risk[- ]free (?:profits?|returns?)|double your money"
    r"|get rich quick|100 ?% win rate|secret (?:trading )?(?:formula|system)|act now before"
    r"|\b(?:online casino|sports? betting|betting odds|free spins|escort|porn\w*)\b",
    re.I,
)
_COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "to",
        "in",
        "and",
        "is",
        "are",
        "was",
        "for",
        "on",
        "that",
        "this",
        "it",
        "with",
        "as",
        "by",
        "be",
        "or",
        "at",
        "from",
        "not",
        "which",
        "you",
        "your",
        "have",
        "has",
        "can",
        "will",
        "if",
        "its",
        "we",
        "their",
        "they",
        "more",
        "about",
    ]
)


def reason_against(
    found: Extracted, study: Study, *, languages: list[str], trust: str, is_news: bool = False
) -> str | None:
    """The first reason not to keep a text, or None."""
    words = re.findall(r"\w+", found.text.lower())
    if len(words) < (_FEWEST_WORDS_OF_NEWS if is_news else _FEWEST_WORDS):
        return f"too short ({len(words)} words)"
    if len(words) <= _NOTICE_WORDS:
        headline = f"{found.title or ''}\n{found.text}"
        for what, pattern in _NOTICES.items():
            if pattern.search(headline):
                return what
    if fault := _unlike_prose(found.text, words, is_english="en" in languages and not is_news):
        return fault
    # A line of news is too short to be sure of its language.
    if study.language and study.language not in languages and len(words) >= _FEWEST_WORDS:
        return f"in another language ({study.language})"
    if trust != "official" and len(_BAIT.findall(found.text)) >= 2:
        return "promises or offers that are not suitable"
    return None


def _unlike_prose(text: str, words: list[str], *, is_english: bool) -> str | None:
    lines = Counter(line.strip() for line in text.split("\n") if len(line.strip()) > 20)
    repeated = sum(len(line) * (times - 1) for line, times in lines.items())
    if repeated > len(text) / 2:
        return "mostly the same lines again and again"
    letters = sum(character.isalpha() for character in text)
    if letters < len(text) / 5:
        return "hardly any words (numbers or symbols)"
    if (
        is_english
        and len(words) >= 100
        and sum(word in _COMMON for word in words) < len(words) / 50
    ):
        return "no sentences (a list of names or links)"
    return None
