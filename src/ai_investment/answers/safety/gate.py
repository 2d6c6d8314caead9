"""The gate: what becomes of a message, before anything is searched, computed or written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ai_investment.answers.calculate import recognise
from ai_investment.answers.models import Outcome, Reason
from ai_investment.answers.safety import replies
from ai_investment.answers.safety.ages import YOUNGEST, stated_age
from ai_investment.answers.safety.redact import redact
from ai_investment.answers.safety.rules import lexicon
from ai_investment.answers.safety.verdicts import Exchange, Person, Verdict
from ai_investment.answers.safety.wording import views

GROWN_UP = 18
# After a message of distress the next ones stay gentle, for so many exchanges and so long.
_GENTLE_EXCHANGES = 3
_GENTLE_FOR = timedelta(hours=24)
_PLACEHOLDER = re.compile(r"\[[a-zA-Z -]{2,20} removed\]")
# Words around private details that ask nothing.
_BARE = 6
_GO_ON = re.compile(r"(?:ok(?:ay)?|yes|yeah|sure|do it|go on|continue|proceed|now|please|and|then|answer|so|tell me|go ahead|as i said|again|just do it|\W)+$")  # fmt: skip
_ELLIPSIS = re.compile(
    r"(?:and|or|what about|how about|then|so|but|ok(?:ay)?|yes|no|just|why not|what if|same for|which(?: one)?|come on|please|be honest|really|only one"
    r"|und|oder|et|ou|y|o|e|en|of|i|a|ve|peki|ya|aur|और|和|那|では|그럼|و|и|а)\b"
)
_QUESTION = re.compile(
    r"\?|？|؟|^(?:what|how|why|who|when|where|which|is|are|do|does|can|explain|tell|was|wie|que|qu|come|como|wat|co|ne)\b"
)


# After distress, less is needed to take the next message for distress too.
_CRISIS_AGAIN = 0.15
_OFF_TOPIC = 0.6
# How sure the head must be that a question for understanding is none.
_SURE = 0.9
_SURE_OF_CRISIS = 0.75


class Chances(Protocol):
    """A trained head: what kind of message this may be."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Per class, from which probability on it counts; `any` for the sum of all classes of risk."""
        ...

    def weigh(self, text: str) -> list[tuple[str, dict[str, float]]]:
        """The message and its sentences, each with the probability of each class."""
        ...


class Gate:
    """Screens messages by the rules of the lexicon and a trained head; either may find something."""

    def __init__(self, chances: Chances) -> None:
        self._chances = chances

    def screen(
        self,
        message: str,
        history: Sequence[Exchange] = (),
        person: Person = Person(),  # noqa: B008 - frozen
        flags: Sequence[str] = (),
    ) -> Verdict:
        """The verdict on a message. `flags`: what the API noted when it received it.

        `history` is the conversation so far, oldest first. Help comes before everything else; then age,
        orders to the assistant, harm, advice; private details are removed in any case.
        """
        look = _Look(message, history, person, flags)
        look.weigh(self._chances)
        return (
            self._crisis(look)
            or self._under_age(look)
            or self._injection(look)
            or self._harmful(look)
            or self._advice(look)
            or self._bare_data(look)
            or look.open()
        )

    def _crisis(self, look: _Look) -> Verdict | None:
        noted = next((flag[7:] for flag in look.noted if flag.startswith("crisis:")), None)
        language = noted or lexicon("crisis").language(look.views)
        if language is None and (
            "crisis" in look.likely
            or (look.gentle and (look.chance["crisis"] >= _CRISIS_AGAIN or not _asks(look)))
        ):
            language = "en"
        if language is None:
            return None
        text = replies.crisis_text(language, look.person.country, again=look.gentle)
        return look.close("escalated", "crisis", text)

    def _under_age(self, look: _Look) -> Verdict | None:
        ages = [age for age in (look.person.age, stated_age(look.text)) if age is not None]
        if "under_age" in look.noted or any(age < YOUNGEST for age in ages):
            return look.close("refused", "under_age", replies.UNDER_AGE)
        return None

    def _injection(self, look: _Look) -> Verdict | None:
        orders = lexicon("injection")
        if orders.language(look.views) or "injection" in look.likely:
            return look.close("refused", "injection", replies.INJECTION)
        if not (last := look.last) or not _GO_ON.match(look.views[0]):
            return None
        if last.reason == "injection" or orders.language(views(last.question)):
            return look.close("refused", "injection", replies.INJECTION)
        return None

    def _harmful(self, look: _Look) -> Verdict | None:
        age = look.person.age or stated_age(look.text)
        said = lexicon("harmful").language(look.views) and not look.understand
        if said or "harmful" in look.likely:
            return look.close("refused", "harmful", replies.HARMFUL, replies.STUDY_SCAM)
        if (
            age is not None
            and age < GROWN_UP
            and _RISKY.search(look.views[0])
            and not look.understand
        ):
            return look.close("refused", "harmful", replies.RISKY_FOR_MINORS, replies.STUDY_RISK)
        return None

    def _advice(self, look: _Look) -> Verdict | None:
        # A sum with all its numbers asks for no opinion.
        if recognise(look.text):
            return None
        asks = lexicon("personal_advice")
        found = asks.language(look.views)
        if found and _CAN_LOSE.match(look.views[0]):
            found = None  # how risky something is, though all of somebody's money is spoken of
        if not found and (last := look.last) and _elliptical(look.views[0]):
            found = (
                "en" if last.reason == "personal_advice" else asks.language(views(last.question))
            )
        if not found and "personal_advice" not in look.likely:
            return None
        study = replies.study_for(look.views[0])
        return look.close("refused", "personal_advice", replies.PERSONAL_ADVICE, study)

    def _bare_data(self, look: _Look) -> Verdict | None:
        words = re.findall(r"\w+", _PLACEHOLDER.sub(" ", look.text))
        if not look.kinds or len(words) > _BARE or "?" in look.text:
            return None
        text = replies.PERSONAL_DATA.format(kinds=", ".join(look.kinds))
        return look.close("refused", "personal_data", text)


_RISKY = re.compile(
    r"\b(?:leverage|leveraged|margin|options?|0 ?dte|futures|cfds?|perps?|perpetuals|day ?trad\w*|short(?:ing)? (?:a |the )?stocks?|sports? ?bet\w*|bet(?:s|ting)?|gambl\w*|casino|roulette|penny stocks?|meme ?coins?)\b.*"
    r"|hebel\w*|optionsschein\w*|paris sportifs|apuestas|scommesse|apostas"
)


_CAN_LOSE = re.compile(
    r"(?:can|could|do|will|would) (?:i|you|we|people|someone) (?:really |actually )?lose\b(?!.*\b(?:should|now|today|buy)\b)"
)
# Whether something of one's own, that no library knows, is honest.
_SUSPECTS = re.compile(
    r"\b(?:is|are|was|looks?|sounds?|could|can|might)\b(?: \w+){0,3}? (?:this|that|it|these|they|he|she|my|the (?:app|site|website|offer|coin|group|guy|broker))\b"
    r"(?: \w+){0,4}? (?:a |an |be |like )*(?:scam|scams|scammer|legit|legitimate|fraud|fake|ponzi|pyramid|rug ?pull|too good to be true|trustworthy)\b"
)
# What people do to their costs is meant as a figure of speech.
_FIGURE_OF_SPEECH = re.compile(
    r"\b(?:attack|kill|crush|destroy|smash|beat|slash|murder|fight|nuke|annihilate)(?:ing)?\b"
    r"(?=(?: (?:my|the|your|our|his|her|all|these|those|this|off|down|credit|card|student|high|hidden|bank|monthly))*"
    r" (?:debts?|fees?|loans?|bills?|expenses|costs|taxes|balances?|mortgage|overdraft|interest)\b)",
    re.IGNORECASE,
)


class _Look:
    """One message and what the checks share about it."""

    def __init__(
        self, message: str, history: Sequence[Exchange], person: Person, noted: Sequence[str]
    ) -> None:
        redacted = redact(message)
        self.text = redacted.text
        self._meant = _FIGURE_OF_SPEECH.sub("reduce", self.text)
        self.views = views(self._meant)
        self.understand = lexicon("education").language(self.views) is not None
        self.person = person
        self.noted = noted
        before = [flag[14:] for flag in noted if flag.startswith("personal_data:")]
        self.kinds = list(dict.fromkeys([*before, *redacted.kinds]))
        self.last = history[-1] if history else None
        self.gentle = any(_distressed(item) for item in history[-_GENTLE_EXCHANGES:])

    def weigh(self, chances: Chances) -> None:
        """Ask the head which classes of risk are likely."""
        weighed = chances.weigh(self._meant)
        self.chance = weighed[0][1]
        self.likely: set[str] = set()
        for piece, chance in weighed:
            limits = dict(chances.thresholds)
            least = limits.pop("any")
            if lexicon("education").language(views(piece)):
                least = 2.0
                limits = {name: max(limit, _SURE) for name, limit in limits.items()}
                limits["crisis"] = _SURE_OF_CRISIS
            self.likely |= {name for name, limit in limits.items() if chance[name] >= limit}
            if sum(chance[name] for name in limits) >= least:
                self.likely.add(max(limits, key=chance.__getitem__))

    def close(
        self, outcome: Outcome, reason: Reason, reply: str, study: str | None = None
    ) -> Verdict:
        """A verdict with fixed words, and perhaps something of ours to read after them."""
        if self.gentle and reason != "crisis":
            reply = replies.gentle(self.person.country) + reply
        return Verdict(
            outcome=outcome, reason=reason, flags=self._flags(reason), text=self.text, reply=reply, study=study
        )  # fmt: skip

    def open(self) -> Verdict:
        """Nothing stands in the way."""
        reply = replies.gentle(self.person.country) if self.gentle else ""
        if self.kinds:
            reply += replies.PERSONAL_DATA_NOTE.format(kinds=", ".join(self.kinds))
        study = without_placeholders(self.text)
        if _SUSPECTS.search(self.views[0]):
            # Nobody here can look into an offer: how one tells is what can be answered.
            reply, study = reply + replies.UNKNOWN_OFFER, replies.STUDY_SCAM
        return Verdict(
            reason="personal_data" if self.kinds else None,
            flags=self._flags(None),
            text=self.text,
            reply=reply,
            study=study or self.text,
            off_topic=self.chance["off_topic"] >= _OFF_TOPIC,
        )

    def _flags(self, reason: str | None) -> list[str]:
        flags = [reason] if reason else []
        flags += ["personal_data"] if self.kinds else []
        flags += ["under_age"] if "under_age" in self.noted else []
        flags += ["crisis_follow_up"] if self.gentle else []
        return list(dict.fromkeys(flags))


def without_placeholders(text: str) -> str:
    """The person's own words, without ours for what was removed."""
    return re.sub(r"\s{2,}", " ", _PLACEHOLDER.sub(" ", text)).strip()


def _distressed(item: Exchange) -> bool:
    if item.asked_at is not None and datetime.now(UTC) - item.asked_at > _GENTLE_FOR:
        return False
    return item.reason == "crisis" or bool(lexicon("crisis").language(views(item.question)))


def _asks(look: _Look) -> bool:
    """Whether a message asks something; after distress, one that does not is answered with help again."""
    return bool(_QUESTION.search(look.views[0]))


def _elliptical(view: str) -> bool:
    return (
        len(view.split()) <= 8
        and bool(_ELLIPSIS.match(view))
        and not lexicon("education").language([view])
    )
