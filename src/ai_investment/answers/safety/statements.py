"""The gate's last part: a composed statement that may not reach a reader, whoever wrote it."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from ai_investment.answers.safety.redact import redact
from ai_investment.answers.safety.wording import fold, tidy

_THING = r"(?:(?:the|this|that|these|those|some|more|your|a few|in|into|shares of|stock of|units of) )?(?:[a-z0-9&.-]+ ){0,3}?(?:stocks?|shares?|etfs?|funds?|bonds?|coins?|tokens?|crypto\w*|bitcoin|ethereum|gold|silver|position|it|today|\d+%?)"  # fmt: skip
_TRADE = r"(?:buy|sell|hold|short|dump|purchase|invest in|put (?:all |half |some )?(?:of )?your (?:money|savings|\w+) in(?:to)?|move your money|go all in|load up on|take profits?|cash out|get (?:in|out) of)"  # fmt: skip
# Said to the reader, about a trade. What people in general do, and rules of saving, stay.
_ADVICE = re.compile(
    rf"\b(?:you|u) (?:should|must|need to|have to|ought to|had better|better|would be (?:wise|smart) to|can safely) (?:\w+ ){{0,2}}?{_TRADE}\b(?! (?:and hold|a home|a house|in mind|on\b))"
    rf"|\b(?:i|we|our analysts?|the assistant) (?:would |strongly |also |personally |can |do )*(?:recommend|suggest|advise|urge)(?:s|ed)? (?:you |that you |to )*(?:{_TRADE}|buying|selling|holding|investing|shorting|purchasing)\b"
    rf"|\b(?:id|(?:i|we) would) (?:\w+ )?{_TRADE}\b(?! back)"
    rf"|^\W*(?:so |then |just |simply |now |definitely |quickly )*(?:buy|sell|short|dump) {_THING}\b(?! (?:and|is|are|when|orders?|means?))"
    r"|\b(?:it|this|that|now|\w+) (?:is|looks like|remains) (?:currently |clearly |definitely )*(?:a|an) (?:strong |clear |screaming |great |good |safe )*(?:buy|sell|hold|bargain|must ?buy|no brainer)(?=\W*$|\W+(?:right|now|at|for (?:you|beginners)|today|because|and))"
    r"|\b(?:now|today|this week) is (?:a|the) (?:good|great|right|best|perfect|bad) (?:time|moment|day) (?:for you )?to (?:buy|sell|invest|get)"
    r"|\b(?:your|the) best (?:choice|option|bet|investment|pick) (?:right now |now |today |for you )?(?:is|would be)\b"
    r"|\b(?:my|our|top|best) (?:pick|picks|recommendation|recommendations|tip|tips) (?:is|are|for (?:you|today|this))\b"
    r"|\byou should (?:put|allocate|keep|invest|have) (?:\w+ ){0,2}?\d+ ?(?:%|percent|dollars|euros|pounds|usd|eur)? ?(?:of your (?:money|savings|portfolio|income) )?(?:in|into) "
)
_TARGET = re.compile(
    r"\b(?:price target|target price|fair value|price objective) (?:of|is|at|for)(?: \w+){0,4} ?[$€£]?\d"
    r"|\bwill (?:\w+ )?(?:reach|hit|rise to|climb to|fall to|drop to|trade at|be worth) [$€£]?\d"
    r"|\b(?:stock|share|shares|price|coin|bitcoin|market|index|it) will (?:definitely |certainly |surely |soon |probably )?(?:double|triple|explode|skyrocket|moon|crash|10x|100x|go up|recover|outperform)\b"
)
_PROMISE = re.compile(
    r"\bguarante(?:e|es|ed|eing)\b(?: \w+){0,4} (?:returns?|profits?|gains?|incomes?|yields?|winners?|money)\b"
    r"|\b(?:returns?|profits?|gains?) (?:is|are|of [\d.,%]+ (?:is|are)) guaranteed\b"
    r"|\b(?:risk\W?free|100 ?%? safe|sure|certain) (?:returns?|profits?|gains?|money|win|winner)\b"
    r"|\bwill (?:surely |certainly |always )?double your money\b"
)
_NO_LOSS = re.compile(r"\b(?:you|it|this|we) (?:cant|will never|wont|can never) (?:possibly )?(?:lose|fail)\b|\bno way to lose\b")  # fmt: skip
# A promise that is denied, doubted or warned of is the opposite of one.
_DENIED = re.compile(
    r"\b(?:no|not|never|nobody|none|neither|nor|without|isnt|arent|cant|dont|doesnt|cannot|beware|warn\w*|scam\w*|fraud\w*|fake|claims?|claiming|promis\w*|pretend\w*|lie|lies|trap|if (?:somebody|someone|anybody|anyone|a \w+)|red flags?|suspicious|avoid|rarely|hardly|deposit insurance|insured|government|state|by law|minimum)\b"
)
# Those that prove themselves: a source may well print an authority's telephone number.
_PRIVATE = frozenset({"card number", "IBAN", "secret key", "seed phrase"})
_SHINGLE = 8


def unsafe(text: str) -> str | None:
    """Why a statement may not be shown: `advice`, `price_target`, `promise`, `prompt` or `personal_data`; else None."""
    plain = tidy(fold(text))
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", plain):
        if _ADVICE.search(sentence):
            return "advice"
        if _TARGET.search(sentence) and not _DENIED.search(sentence):
            return "price_target"
        if _PROMISE.search(sentence) and not _DENIED.search(sentence):
            return "promise"
        if (sure := _NO_LOSS.search(sentence)) and not _DENIED.search(
            sentence.replace(sure[0], " ")
        ):
            return "promise"
    if _shingles(plain) & _prompt_words():
        return "prompt"
    if _PRIVATE.intersection(redact(text).kinds):
        return "personal_data"
    return None


def _shingles(plain: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", plain)
    return {tuple(words[at : at + _SHINGLE]) for at in range(len(words) - _SHINGLE + 1)}


@cache
def _prompt_words() -> frozenset[tuple[str, ...]]:
    """Every run of eight words of every prompt: nobody writes one by chance."""
    folder = files("ai_investment.answers").joinpath("prompts")
    texts = [item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".md")]
    return frozenset(shingle for text in texts for shingle in _shingles(tidy(fold(text))))
