"""Words of a text as stems, so that "fund's fees" and "a fee of funds" share theirs."""

from __future__ import annotations

import re
from functools import lru_cache

from Stemmer import Stemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_POSSESSIVE = re.compile(r"['’]s?\Z")
# Words that say how something is asked or said, and not what it is about.
_FUNCTION_WORDS = """
a about all also am an and any are aren't as at be been being but by can can't could did do
does doesn't doing don't each else ever few for from get gets give given gives go goes got
had has have he her here him his how i i'd i'm if in into is isn't it it's its just kind let
like make makes many may me mean meaning means might more most much must my need needs no
not now of off on one or other our out over please really say says she should so some
something such tell than that that's the their them then there these they thing things this
those to too up us use used using very want was we were what what's whats when where which
while who whom whose why will with would yes you your yours explain describe define
definition word words understand know learn help example work works exactly actually
basically simple simply difference different between compare compared versus vs matter
matters important happen happens happened care point main first person people someone
"""
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_stemmer = Stemmer("english")


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    stem: str = _stemmer.stemWord(word)
    return stem


def all_stems(text: str) -> list[str]:
    """The stem of every word, in order."""
    words = (match[0].lower().replace("’", "'") for match in _WORD.finditer(text))
    return [_stem(_POSSESSIVE.sub("", word)) for word in words]


def content_stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order."""
    words = (match[0].lower().replace("’", "'") for match in _WORD.finditer(text))
    return [_stem(_POSSESSIVE.sub("", word)) for word in words if word not in _FUNCTION]


def is_english(text: str) -> bool:
    """Whether a text has as many English function words as English has; of a few words, yes."""
    words = [match[0].lower() for match in _WORD.finditer(text)]
    return len(words) < 8 or sum(word in _FUNCTION for word in words) >= 0.15 * len(words)
