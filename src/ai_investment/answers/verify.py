"""Checking statements in code: quotes verbatim, numbers traced, words supported, nothing smuggled in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from ai_investment.answers.models import Fault, Statement
from ai_investment.answers.orders import gives_orders
from ai_investment.answers.quantities import CURRENCIES, Quantity, quantities, vouches
from ai_investment.answers.quotes import Found, find_quote
from ai_investment.answers.support import (
    exchanged,
    judges,
    looks_alike,
    new_terms,
    overlap,
    strangers,
    turned_round,
)
from ai_investment.answers.words import is_english
from ai_investment.content.find import Passage
from ai_investment.content.sentences import sentences

_LINK = re.compile(r"!?\[([^\]\[]*)\]\([^()]*\)")
_TAG = re.compile(r"</?[A-Za-z!][^>]*>")
_MARKER = re.compile(r"\s*\[\d+(?:\s*[,;–-]\s*\d+)*\](?!\()")
_EMPHASIS = re.compile(
    r"\*\*|__|`+|^#{1,6}\s+|(?<!\w)[*_](?=\w)|(?<=[\w.,!?])[*_](?!\w)", re.MULTILINE
)
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*:/\S*|\b(?:javascript|data|mailto|tel):\S+|\S+@\S+\.\w+"
    r"|\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b(?:[/:?#]\S*)?",
    re.I,
)
# What must not stand in an answer after the cleaning, however it was put together.
_STILL_MARKUP = re.compile(r"\]\s*[(\[]|</?[A-Za-z!]|!\[|&#?\w+;", re.IGNORECASE)
# Of the meaningful words of a statement, how many its quotes must have; of one without a quote more.
_SUPPORTS, _BACKS = 0.55, 0.65


class Verified(msgspec.Struct, frozen=True):
    """A statement that passed: its clean text, and where each of its quotes stands."""

    text: str
    found: list[Found]
    quoted: bool
    repaired: bool = False
    """Whether code had to mend it: markup taken out, a quote put where it stands."""


class Evidence:
    """What the statements of one answer may rest on: passages, the question, and what was computed."""

    def __init__(self, passages: Sequence[Passage], question: str) -> None:
        self.passages = passages
        self._by_id = {passage.id: passage for passage in passages}
        self._question = question
        self._asked = quantities(question)
        self._computed: list[Quantity] = []
        self._computed_words = ""

    def add_computed(self, calculation: object) -> None:
        """A calculation's inputs, result and steps; a number of it may be rounded, and has no unit."""
        words = msgspec.json.encode(calculation).decode()
        self._computed_words += words + "\n"
        self._computed += [
            quantity if quantity.unit else msgspec.structs.replace(quantity, unit=None)
            for quantity in quantities(words)
        ]

    def verify(self, statement: Statement) -> Verified | Fault:
        """The statement, mended where code can do it for sure, or what is wrong with it."""
        found, mended = self._quotes(statement)
        if statement.quoted:
            return _quotation(statement, found)
        text = clean(statement.text)
        mended = mended or text != " ".join(statement.text.split())
        needs_quote = not (statement.computed and self._computed)
        if not found and needs_quote:
            found, mended = self._backing(text), True
        fault = self._fault(text, found) if found or not needs_quote else _NO_QUOTE
        if fault and fault is not _NO_QUOTE and (more := self._backing(text)):
            found, mended = [*found, *(item for item in more if item not in found)], True
            fault = self._fault(text, found)
        return Fault(text, fault) if fault else Verified(text, found, False, mended)

    def _quotes(self, statement: Statement) -> tuple[list[Found], bool]:
        """Where the quotes stand, and whether one was not where it was said to stand."""
        found: list[Found] = []
        moved = False
        for quote in statement.quotes:
            said_in = self._by_id.get(quote.passage_id)
            item = find_quote(quote.text, said_in, self.passages)
            if item is None or gives_orders(item.sentences):
                moved = True
                continue
            moved = moved or item.passage is not said_in
            if item not in found:
                found.append(item)
        return found, moved

    def _backing(self, text: str) -> list[Found]:
        """For each sentence of a claim the one in the passages that has most of its words."""
        found = []
        for start, end in sentences(text):
            best, most = None, _BACKS
            for passage in self.passages:
                for a, b in sentences(passage.text):
                    share = overlap(text[start:end], passage.text[a:b])
                    if share > most and not gives_orders(passage.text[a:b]):
                        best, most = Found(passage, a, b), share
            if best is None:
                return []
            found.append(best)
        return found

    def _fault(self, text: str, found: Sequence[Found]) -> str | None:
        told = "\n".join(item.sentences for item in found)
        around = "\n".join(f"{_above(item.passage)}\n{item.passage.text}" for item in found)
        known = f"{around}\n{self._question}\n{self._computed_words}"
        if fault := _form(text, told, {item.passage.url for item in found}):
            return fault
        if numbers := self._untraced(text, found):
            return f"a number without a source: {', '.join(number.text for number in numbers)}"
        if not is_english(text):
            return None  # its words cannot be held against those of English passages
        if names := strangers(text, known, f"{told}\n{self._question}\n{self._computed_words}"):
            return f"not in the sources: {', '.join(sorted(names))}"
        return self._unsupported(text, found) if found else self._uncomputed(text)

    def _uncomputed(self, text: str) -> str | None:
        """What is wrong with a statement that rests on a calculation alone."""
        if not any(self._is_computed(said) for said in quantities(text)):
            return "it tells no result of a calculation"
        known = f"{self._question}\n{self._computed_words}"
        words = judges(text, known) | new_terms(text, known)
        return f"no calculation speaks of: {', '.join(sorted(words))}" if words else None

    def _untraced(self, text: str, found: Sequence[Found]) -> list[Quantity]:
        sources = [
            *self._asked,
            *(q for item in found for q in quantities(item.sentences)),
            *(q for item in found for q in quantities(_above(item.passage))),
        ]
        return [
            said
            for said in quantities(text)
            if not any(vouches(source, said) for source in sources) and not self._is_computed(said)
        ]

    def _is_computed(self, said: Quantity) -> bool:
        """Whether a calculation has it; its currency, which calculators do not know, is the question's."""
        currencies = {quantity.unit for quantity in self._asked} & CURRENCIES
        if currencies and said.unit in CURRENCIES - currencies:
            return False
        return any(vouches(source, said, computed=True) for source in self._computed)

    def _unsupported(self, text: str, found: Sequence[Found]) -> str | None:
        told = [item.sentences[a:b] for item in found for a, b in sentences(item.sentences)]
        all_told = "\n".join([*told, *(_above(item.passage) for item in found)])
        known = f"{all_told}\n{self._question}"
        given = [*self._asked, *(q for item in found for q in quantities(_above(item.passage)))]
        for start, end in sentences(text):
            said = text[start:end]
            nearest = max(told, key=lambda source: overlap(said, source))
            if overlap(said, all_told) < _SUPPORTS:
                return "its quotes do not say it"
            if words := judges(said, known) | new_terms(said, known):
                return f"its quotes do not speak of: {', '.join(sorted(words))}"
            if turned_round(said, nearest, all_told) or exchanged(said, nearest, "\n".join(told)):
                return "its quotes say something else"
            numbers = [q for q in quantities(said) if not any(vouches(it, q) for it in given)]
            if not _in_order(numbers, quantities(nearest)):
                return "its numbers stand for something else"
        return None


def _above(passage: Passage) -> str:
    return f"{passage.title}. {passage.heading or ''}"


def _in_order(said: Sequence[Quantity], told: Sequence[Quantity]) -> bool:
    """Whether the numbers of a kind stand in the order in which the source has them.

    Two numbers that changed places are as wrong as an invented one. Only told where all are from there.
    """
    for unit in {quantity.unit for quantity in said}:
        of_unit = [quantity for quantity in said if quantity.unit == unit]
        if all(any(vouches(source, quantity) for source in told) for quantity in of_unit):
            left = iter(told)
            if not all(any(vouches(source, quantity) for source in left) for quantity in of_unit):
                return False
    return True


_NO_QUOTE = "no passage has a quote for it"


def _quotation(statement: Statement, found: Sequence[Found]) -> Verified | Fault:
    """A quotation is nothing but its quotes, as they stand in their passages."""
    own = " ".join(item.passage.text[item.start : item.end] for item in found)
    if not found or own.split() != statement.text.split():
        return Fault(statement.text, _NO_QUOTE)
    if _form(statement.text, statement.text, set()):
        return Fault(statement.text, "the source has links or markup there")
    return Verified(statement.text, list(found), quoted=True)


def clean(text: str) -> str:
    """A writer's text without control and unseen characters, markup, links and markers of its own."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(
        " " if sign.isspace() else sign
        for sign in text
        if sign.isspace() or unicodedata.category(sign)[0] != "C"
    )
    text = _MARKER.sub("", _TAG.sub("", _LINK.sub(r"\1", text)))
    return " ".join(_EMPHASIS.sub("", text).split())


def _form(text: str, told: str, urls: set[str | None]) -> str | None:
    """What is wrong with the form of a clean text."""
    if not any(sign.isalnum() for sign in text):
        return "it is empty"
    if _STILL_MARKUP.search(text):
        return "it holds markup"
    if looks_alike(text):
        return "it mixes letters that look alike"
    for address in _ADDRESS.finditer(text):
        if address[0].rstrip(".,;)") not in urls and not _in_words(address[0], told):
            return "it holds a link that is not a cited document's"
    return None


def _in_words(address: str, told: str) -> bool:
    """Whether it only looks like an address ("Booking.com") and the quotes have it; a real one is not a word."""
    is_link = "/" in address or "@" in address or address.lower().startswith("www.")
    return not is_link and address.rstrip(".") in told
