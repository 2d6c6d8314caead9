"""Follow-ups as questions that stand alone: the subject of the conversation is carried over."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ai_investment.answers.words import content_stems
from ai_investment.content.query import Turn

# A word that stands for something said before. "One" and "that" only where nothing follows that they belong to.
_STANDS_FOR = re.compile(
    r"\b(?:it|they|them|these|those|this|that(?=\W*(?:$|[?.!,]|(?:is|was|are|were|does|do|did|work|mean|cost)\b))"
    r"|(?:this|that|these|those) (?:one|ones|thing|things|kind|type)|such(?: a| an)? (?:thing|one)s?)\b"
    r"(?!['’]s\b)",
    re.IGNORECASE,
)
_OF_IT = re.compile(r"\b(?:its|their)\b", re.IGNORECASE)
_CONTRACTED = re.compile(r"\b(it|that|this|they)['’](s|re|ll|d|ve)\b", re.IGNORECASE)
_LONG_FORM = {"s": "is", "re": "are", "ll": "will", "d": "would", "ve": "have"}
_NOBODY = re.compile(
    r"\b(?:it)(?= (?:possible|true|safe to|better to|worth|legal|illegal|ok|okay|a good idea|take)\b)|(?<=\bis )it(?= (?:possible|true|legal|illegal|ok|okay|worth|better|a good idea)\b)",
    re.IGNORECASE,
)
# How a question begins that goes on with the one before.
_GOES_ON = re.compile(
    r"(?:and|but|or|so|also|then|ok(?:ay)?|what about|how about|what else|anything else|any others?|why(?: not| is that)?\W*$|how so"
    r"|really|for example|like what|such as|in what way|which ones?|how come\W*$|how much(?: is it| does it cost)?\W*$|how many\W*$|when\W*$|where\W*$|who\W*$)\b",
    re.IGNORECASE,
)
# What a question is asked with, before and behind what it is about.
_ASKING = re.compile(
    r"^(?:\W|\b(?:and|but|or|so|ok(?:ay)?|hi|hello|hey|please|can|could|would|should|will|do|does|did|is|are|was|were|am|has|have"
    r"|what|whats|what's|how|why|when|where|which|who|whose|about|you|i|we|me|my|us|tell|explain|describe|define|show|give|know|understand|want|need|like|to"
    r"|the|a|an|some|any|of|there|it|mean|meaning|difference|between|much|many|happens?|sets?|makes?|causes?|exactly|actually|basically|just|really|heard|wonder|wondering|think|interested|in|learn|more)\b)+",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"(?:\W|\b(?:work|works|mean|means|do|does|please|exactly|actually|again|then|it|this|that|is|are|cost|costs|there|today|now|for me|for beginners|to me)\b)+$",
    re.IGNORECASE,
)
# What something has or does: alone, such words are about what was spoken of before.
_BELONGS = frozenset(
    content_stems(
        """risk risks cost costs fee fees charge price prices value worth benefit advantage disadvantage downside upside
        examples type kind pros cons rule rules step steps alternative danger dangers return returns tax taxes
        good bad safe risky cheap expensive best worst better worse easy hard legal big small long short common many
        start begin buy sell invest lose earn pay open choose pick use get money much often quickly fast rise fall"""
    )
)
_ANOTHER = re.compile(
    r"(?:ok(?:ay)?,? )?(?:and|or|but|what about|how about)\s+(?P<other>(?!(?:what|how|why|when|who|which|is|are|can|do|does|for|in|if|at|with|on|by|the other)\b).+)",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\s(?:in|during|on|at|for|of|with|when|after|before|if)\s", re.IGNORECASE)
_JUDGED = re.compile(r"\W*(?:is|are|was|were)\b", re.IGNORECASE)
_MOST_WORDS, _IN_PLACE = 12, 5


def standalone(question: str, earlier: Sequence[Turn]) -> str:
    """The question with what it leaves to the conversation put in; one that stands alone comes back as it is.

    >>> standalone("What do they cost?", [Turn("What are index funds?", mine=True)])
    'What do index funds cost?'
    """
    asked = [turn.text for turn in earlier if turn.mine]
    if not asked or not leaves_out(question):
        return question
    about, subject = _subject(asked)
    if not subject:
        return question
    other = _ANOTHER.match(question)
    if other and not (
        set(content_stems(other["other"])) <= _BELONGS or _STANDS_FOR.search(question)
    ):
        return _asked_of(about, subject, other["other"].strip(" ?.!"))
    text = _CONTRACTED.sub(lambda match: f"{match[1]} {_LONG_FORM[match[2].lower()]}", question)
    place = next(
        (it for it in _STANDS_FOR.finditer(text) if not _NOBODY.match(text, it.start())), None
    )
    if len(subject.split()) <= _IN_PLACE:
        if place:
            return f"{text[: place.start()]}{subject}{text[place.end() :]}"
        if place := _OF_IT.search(text):
            return f"{text[: place.start()]}{subject}'s{text[place.end() :]}"
    return f"{text.rstrip(' ?.!')} ({subject})?"


def leaves_out(question: str) -> bool:
    """Whether a question says less than it asks: it points back, goes on, or names hardly anything."""
    text = question.strip()
    points_back = (
        bool(_OF_IT.search(text))
        or any(not _NOBODY.match(text, it.start()) for it in _STANDS_FOR.finditer(text))
        or bool(_CONTRACTED.search(text))
    )
    return points_back or bool(_GOES_ON.match(text)) or set(content_stems(text)) <= _BELONGS


def _asked_of(question: str, subject: str, other: str) -> str:
    """The same question about something else: "what about bonds?" after "What is an ETF?"."""
    head = _PLACE.split(subject)[0]
    if len(head.split()) <= _IN_PLACE and set(content_stems(question)) <= set(
        content_stems(subject)
    ):
        return re.sub(rf"(?:\ban? )?{re.escape(head)}", other.replace("\\", ""), question, count=1)
    return f"{other}: {question}"


def _subject(asked: Sequence[str]) -> tuple[str, str]:
    """The person's last question that named something, and what it was about."""
    for number in range(len(asked) - 1, -1, -1):
        if number and leaves_out(asked[number]):
            continue
        found = _core(asked[number])
        if found:
            return asked[number], found
    return "", ""


def _core(question: str) -> str:
    """A question without the words of asking: "How do index funds work?" is about index funds."""
    last = re.split(r"(?<=[.!?])\s+", question.strip())[-1]
    core = _BEHIND.sub("", _ASKING.sub("", last))
    if _JUDGED.match(last):  # "Is Bitcoin a scam?" is about Bitcoin
        core = re.split(
            r"\s(?:an?|the|any|so|really|good|bad|safe|risky|better|worth|legal|real)\s?\b", core
        )[0]
    words = core.split()
    if not content_stems(core):
        return ""
    return " ".join(words[-_MOST_WORDS:])
