"""A linear head over the sentence embedding and hashed letter groups: what kind of message this is.

Multinomial logistic regression, trained by `just train-safety` (benchmarks/safety). The weights are
plain arrays in `weights.npz`; the training file, the scores and the thresholds' origin stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from ai_investment.answers.safety.wording import fold, tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ai_investment.content.vectors import Embedder

BUCKETS = 4096
LIMITS = ("crisis", "personal_advice", "injection", "harmful", "any")
# Letter groups against the embedding, both of unit length.
_LETTERS_WEIGHT = 1.5
_SIZES = (2, 3, 4)
# A message is looked at as a whole and by its sentences, so that one sentence in it counts.
_PIECE, _PIECES = 240, 8
_LONGEST = 60
_BREAK = re.compile(
    r"[.!?;\n。！？؟।…]+\s*|,?\s+(?=(?:anyway|anyways|btw|by the way|also|never ?mind)\b)",
    re.IGNORECASE,
)
_SHORTEST = 12
# A sentence that states what was removed says little without it: only the whole message is weighed.
_REMOVED = re.compile(r"\[[a-zA-Z -]{2,20} removed\]")


def pieces(text: str) -> list[str]:
    """The message cut to 240 characters, and its sentences where it has several; at most eight, ends first."""
    found = [part.strip() for part in _BREAK.split(text) if not _REMOVED.search(part)]
    text = re.sub(r"\s{2,}", " ", _REMOVED.sub(" ", text)).strip()
    found = [part[:_PIECE] for part in found if len(part) >= _SHORTEST or not part.isascii()]
    found = [part for part in found if part]
    if len(found) < 2:
        return [text[:_PIECE]]
    if len(found) > _PIECES - 1:
        # Begin and end say most.
        step = (len(found) - 1) / (_PIECES - 2)
        found = [found[round(number * step)] for number in range(_PIECES - 1)]
    return [text[:_PIECE], *found]


def letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """Counts of letter groups by bucket, square-rooted, rows of unit length; shape (texts, BUCKETS)."""
    rows = np.zeros((len(texts), BUCKETS), dtype=np.float32)
    for number, text in enumerate(texts):
        row = rows[number]
        for word in tidy(fold(text)).split():
            framed = f" {word[:_LONGEST]} ".encode("utf-32-le")
            for size in _SIZES:
                for start in range(0, len(framed) - 4 * size + 1, 4):
                    row[crc32(framed[start : start + 4 * size]) % BUCKETS] += 1
    np.sqrt(rows, out=rows)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.maximum(norms, 1e-9)
    return rows


def features(texts: Sequence[str], embedder: Embedder) -> NDArray[np.float32]:
    """What the head sees of each text; shape (texts, dimension + BUCKETS)."""
    return np.concatenate([embedder.embed(list(texts)), _LETTERS_WEIGHT * letters(texts)], axis=1)


class Classifier:
    """The trained head."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        with files("ai_investment.answers.safety").joinpath("weights.npz").open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            self.classes: list[str] = [str(name) for name in stored["classes"]]
            self._weights: NDArray[np.float32] = stored["weights"].astype(np.float32)
            self.thresholds: dict[str, float] = dict(
                zip(LIMITS, map(float, stored["thresholds"]), strict=True)
            )
            self._bias: NDArray[np.float32] = stored["bias"].astype(np.float32)
            if str(stored["embedder"]) != embedder.name:
                raise ValueError(
                    f"the safety head was trained on {stored['embedder']}, not {embedder.name}"
                )

    def weigh(self, text: str) -> list[tuple[str, dict[str, float]]]:
        """Each piece of the message with the probability of each class."""
        parts = pieces(text)
        scores = features(parts, self._embedder) @ self._weights + self._bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return [
            (part, dict(zip(self.classes, map(float, line), strict=True)))
            for part, line in zip(parts, scores, strict=True)
        ]
