"""The embedding model that remembers gives what the model gives, and asks it once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ai_investment.content.remembering import Remembering
from tests.doubles.embedding import HashingEmbedder


class Counting(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__("counting", 32)
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return super().embed(texts)


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=8), st.integers(1, 4))
def test_vectors_are_the_models_whatever_is_remembered(calls: list[list[str]], most: int) -> None:
    model = Counting()
    remembering = Remembering(model, most)
    for texts in calls:
        vectors = remembering.embed(texts)
        assert vectors.shape == (len(texts), 32)
        assert np.array_equal(vectors, HashingEmbedder("counting", 32).embed(texts))


def test_a_text_is_embedded_once_until_others_have_taken_its_place() -> None:
    model = Counting()
    remembering = Remembering(model, 2)
    remembering.embed(["fund", "fund", "bond"])
    remembering.embed(["fund"])
    assert model.asked == ["fund", "bond"]
    remembering.embed(["share"])  # the bond was asked for longest ago
    remembering.embed(["fund"])
    assert model.asked == ["fund", "bond", "share"]
    remembering.embed(["bond"])
    assert model.asked[-1] == "bond"
