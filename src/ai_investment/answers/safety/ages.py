"""An age that a message states about its writer."""

from __future__ import annotations

import re

from ai_investment.answers.safety.wording import views

YOUNGEST = 13

_WORDS = {
    "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
    "nineteen": 19, "twenty": 20,
}  # fmt: skip
_NUMBER = r"(\d{1,2}|" + "|".join(_WORDS) + r")(?![\d.,]*\d)"
# What follows a number that is no age: "I'm 10% up", "I am 5 years from retirement".
_NOT_AGE = (
    r"(?!\W*(?:%|percent|k\b|thousand|grand|usd|eur|gbp|dollars?|euros?|bucks|pounds?|quid|shares?|stocks?|minutes?|mins?|hours?"
    r"|days?|weeks?|months?|times|points?|away|from|into|feet|foot|ft|cm|kg|lbs?|pages?|lessons?|chapters?|x\b|in (?:debt|the))"
    r"|\W*(?:years?|yrs?) (?:from|away|into|late|of|in|behind|ahead|before|after|sober|clean))"
)
_STATED = re.compile(
    "|".join(
        (
            rf"\bim (?:only |just |turning |a |like |about |almost |nearly |still |currently |actually )*{_NUMBER}(?: ?(?:yo|y/o|years? old|yrs? old|year old|years young))?{_NOT_AGE}(?=\W*(?:$|[.,!?;:)(]|and|so|but|yo\b|y/o|years?|yrs?|old|can|what|how|in \w+ grade|girl|boy|kid|male|female|f\b|m\b|lol|btw|or|with|who|my))",
            rf"\b(?:my age is|age ?[:=]|aged) ?{_NUMBER}{_NOT_AGE}",
            rf"\bas an? {_NUMBER} ?-? ?years? ?-? ?old\b",
            rf"^\W*{_NUMBER} ?(?:yo|y/o|years? old|yrs? old) (?:here|girl|boy|kid)\b",
            rf"\bi (?:just |recently )?turned {_NUMBER}\b{_NOT_AGE}",
            rf"\bich bin (?:erst |gerade |schon )?{_NUMBER}(?: jahre)?{_NOT_AGE}(?! ?prozent)(?=\W*(?:$|[.,!?]|jahre|und|aber))",
            rf"\bjai (?:seulement |juste )?{_NUMBER} ans\b(?! d)",
            rf"\btengo (?:solo |apenas )?{_NUMBER} anos\b(?! (?:invirt|trabaj|con|de ))",
            rf"\bho (?:solo |appena )?{_NUMBER} anni\b(?! di)",
            rf"\btenho (?:so |apenas )?{_NUMBER} anos\b(?! de)",
            rf"\bik ben (?:pas |nog maar )?{_NUMBER}(?: jaar)?(?=\W*(?:$|[.,!?]|jaar|en|maar))",
            rf"\bmam (?:tylko |dopiero )?{_NUMBER} lat\b",
            rf"\b{_NUMBER} yasindayim",
            rf"\bмне (?:только |всего )?{_NUMBER} (?:лет|года?)\b",
            rf"عمري {_NUMBER}",
            rf"(?:मैं|मेरी उम्र|meri umar|main) ?{_NUMBER} ?(?:साल|वर्ष|saal)",
            rf"我(?:今年|才|只有)?{_NUMBER}(?:岁|歲)",
            rf"(?:私は|僕は|わたしは|俺は)?{_NUMBER}(?:歳|才)です",
            rf"(?:나는|저는|난) ?{_NUMBER}(?:살|세)",
        )
    )
)
_GRADE = re.compile(r"\bim in (?:the )?(?:(1st|2nd|3rd|4th|5th|first|second|third|fourth|fifth) grade|grade [1-5]\b|(?:primary|elementary) school)")  # fmt: skip


def stated_age(text: str) -> int | None:
    """The youngest age the writer states of themselves, or None. Younger than 3 is taken for a joke."""
    ages = []
    for view in views(text)[:2]:
        if _GRADE.search(view):
            ages.append(10)
        for match in _STATED.finditer(view):
            said = next(group for group in match.groups() if group)
            age = _WORDS.get(said) or int(said)
            if 3 <= age <= 99:
                ages.append(age)
    return min(ages, default=None)
