"""Whether what was found can answer a question: a calibrated chance, from how near it is and what it speaks of.

A logistic regression over a few signals. Its weights are fitted by `just tune-abstention` on data in
benchmarks/retrieval; docs/evaluation.md has the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from math import exp
from statistics import fmean

import msgspec

from ai_investment.content.lexical import Lexical
from ai_investment.content.query import Question, lexical_weights, meanings
from ai_investment.content.ranking import Ranking

# The chance from which on a question is answered: mistakes of both kinds count the same.
ENOUGH = 0.5
# Of so many first passages the words are looked at.
_BEST = 3
# What says how something is asked, and not what it is about.
_ASKING = (
    "happen mean meaning explain describe define work know understand like example difference between compare "
    "better way thing people someone really actually exactly simple basically important matter use get give make "
    "whats wat hows whys im dont cant u ur pls plz"
)
# BM25 gives a term this many times its rarity at most (k1 + 1).
_MOST_BM25 = 2.2


class Signals(msgspec.Struct, frozen=True):
    """`nearest`: the best score by meaning; `around`: the mean of all candidates by meaning (-1 to 1).

    `covered`: the share of the question's terms, rare ones counting more, that one of the best passages has;
    `matched`: the best score by words against the highest there could be (0 to 1).
    """

    nearest: float
    around: float
    covered: float
    matched: float


class Head(msgspec.Struct, frozen=True):
    """Weights in the order of Signals; those by meaning are absent from `words_only`."""

    bias: float
    weights: list[float]


class Fitted(msgspec.Struct, frozen=True):
    both: Head
    words_only: Head


def signals(question: Question, ranking: Ranking, best: Sequence[str], index: Lexical) -> Signals:
    """What speaks for an answer; `best` are the words of the first passages with what stands above them."""
    asking = set(index.terms(_ASKING))
    said = index.terms(question.alone)
    about = [term for term in said if term not in asking] or said
    meant = {term: meanings(term, index) for term in about}
    rarity = {term: min(map(index.rarity, same)) for term, same in meant.items()}
    total = sum(rarity.values()) or 1.0
    covered = 0.0
    for words in best[:_BEST]:
        there = set(index.terms(words))
        said_there = sum(rarity[term] for term, same in meant.items() if same & there)
        covered = max(covered, said_there / total)
    asked = lexical_weights(question, index)
    highest = _MOST_BM25 * sum(weight * index.rarity(term) for term, weight in asked.items())
    by_words = max((item.bm25 for item in ranking.passages if item.bm25 is not None), default=0.0)
    by_meaning = [item.cosine for item in ranking.passages if item.cosine is not None]
    return Signals(
        nearest=max(by_meaning, default=0.0),
        around=fmean(by_meaning) if by_meaning else 0.0,
        covered=covered,
        matched=by_words / highest if highest else 0.0,
    )


def chance(found: Signals, *, by_meaning: bool) -> float:
    """How likely the passages answer the question (0 to 1), of questions half of which can be answered."""
    head = _fitted().both if by_meaning else _fitted().words_only
    seen = msgspec.structs.astuple(found)[-len(head.weights) :]
    pull = head.bias + sum(w * x for w, x in zip(head.weights, seen, strict=True))
    return 1 / (1 + exp(-pull))


@cache
def _fitted() -> Fitted:
    stored = files("ai_investment.content").joinpath("answerable.json").read_bytes()
    return msgspec.json.decode(stored, type=Fitted)
