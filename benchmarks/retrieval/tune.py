"""Fit when to abstain: `just tune-abstention`.

Conversations whose last question can or cannot be answered, over two collections: MT-RAG's passages
(mtrag/README.md) and the starter library (questions.jsonl, of our own). Both count the same, and so do
both kinds of question in each. PARTIAL and UNDERSPECIFIED questions are left out. The weights go to
src/ai_investment/content/answerable.json, the curves to abstention.json here.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from ai_investment.answers.rewrite import standalone
from ai_investment.cli.evaluate import progress_bar
from ai_investment.content import answerable
from ai_investment.content.find import find_passages
from ai_investment.content.query import Question
from ai_investment.evaluation.answers import library
from ai_investment.evaluation.beir import BeirDocument, BeirQuery, read_lines
from ai_investment.evaluation.collection import load
from ai_investment.evaluation.stores import Stores, temporary_stores

HERE = Path(__file__).parent
WEIGHTS = Path(answerable.__file__).with_name("answerable.json")
CURVES = HERE / "abstention.json"
_KINDS = ("ANSWERABLE", "UNANSWERABLE")
_FOLDS, _SEEDS = 10, 5
Floats = NDArray[np.float64]


class Labelled(msgspec.Struct, frozen=True):
    id: str
    label: str
    turns: list[list[str]]

    def question(self) -> Question:
        asked = BeirQuery(self.id, "", list(self.turns)).question()
        return Question(asked.text, asked.earlier, standalone(asked.text, asked.earlier))


def main() -> None:
    cache = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".data/models")
    sets = {
        "library": asyncio.run(_seen(cache, library(), HERE / "questions.jsonl")),
        "mtrag": asyncio.run(
            _seen(
                cache,
                list(read_lines(HERE / "mtrag" / "corpus.jsonl", BeirDocument)),
                HERE / "mtrag" / "questions.jsonl",
            )
        ),
    }
    heads, curves = {}, {}
    for name, columns in (("both", [0, 1, 2, 3]), ("words_only", [2, 3])):
        heads[name] = _head(sets, columns)
        curves[name] = {of: _curve(x[:, columns], y) for of, (x, y) in sets.items()}
        curves[name]["together"] = _together(sets, columns)
    WEIGHTS.write_text(json.dumps(heads, indent=2) + "\n", "utf-8")
    CURVES.write_text(json.dumps(curves, indent=2) + "\n", "utf-8")
    for name, of in curves.items():
        for where, figures in of.items():
            print(name, where, {k: v for k, v in figures.items() if k != "curve"})


async def _seen(
    cache: Path, documents: Sequence[BeirDocument], questions: Path
) -> tuple[Floats, NDArray[np.int64]]:
    """The signals of every labelled question, shape (questions, 4), and whether it can be answered."""
    asked = [it for it in read_lines(questions, Labelled) if it.label in _KINDS]
    rows = []
    async with temporary_stores(cache) as stores:
        with progress_bar("Indexing", len(documents)) as advance:
            await load(stores, documents, advance)
        with progress_bar("Asking", len(asked)) as advance:
            for it in asked:
                rows.append(msgspec.structs.astuple(await _signals(stores, it.question())))
                advance(1)
    return np.array(rows), np.array([it.label == _KINDS[0] for it in asked], dtype=np.int64)


async def _signals(stores: Stores, question: Question) -> answerable.Signals:
    found = await find_passages(stores.database, stores.dense, stores.lexical, question)
    assert found.signals is not None
    return found.signals


def _even(y: NDArray[np.int64]) -> Floats:
    """Weights that make both kinds count the same, one in sum."""
    return np.where(y == 1, 0.5 / max(1, y.sum()), 0.5 / max(1, (1 - y).sum()))


def _fit(x: Floats, y: NDArray[np.int64], weights: Floats) -> tuple[Floats, float]:
    """Weights and bias for unscaled signals."""
    scaler = StandardScaler().fit(x)
    model = LogisticRegression().fit(
        scaler.transform(x), y, sample_weight=weights * len(y) / weights.sum()
    )
    scaled = model.coef_[0] / scaler.scale_
    return scaled, float(model.intercept_[0] - (scaled * scaler.mean_).sum())


def _all(sets: dict[str, Any], columns: list[int]) -> tuple[Floats, NDArray[np.int64], Floats, Any]:
    x = np.vstack([x[:, columns] for x, _ in sets.values()])
    y = np.concatenate([y for _, y in sets.values()])
    weights = np.concatenate([_even(y) for _, y in sets.values()])
    of = np.concatenate([[name] * len(y) for name, (_, y) in sets.items()])
    return x, y, weights, of


def _head(sets: dict[str, Any], columns: list[int]) -> dict[str, Any]:
    x, y, weights, _ = _all(sets, columns)
    scaled, bias = _fit(x, y, weights)
    return {"bias": round(bias, 4), "weights": [round(float(it), 4) for it in scaled]}


def _chances(x: Floats, y: NDArray[np.int64], weights: Floats, groups: Any, seed: int) -> Floats:
    """The chance of each question by a fit that has not seen it."""
    found = np.zeros(len(y))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(x, groups):
        scaled, bias = _fit(x[train], y[train], weights[train])
        found[test] = 1 / (1 + np.exp(-(x[test] @ scaled + bias)))
    return found


def _curve(x: Floats, y: NDArray[np.int64]) -> dict[str, Any]:
    """Cross-validated on one collection alone."""
    chances = np.stack([_chances(x, y, _even(y), y, seed) for seed in range(_SEEDS)])
    return _figures(y, chances)


def _together(sets: dict[str, Any], columns: list[int]) -> dict[str, Any]:
    """Cross-validated on all collections at once, as the shipped weights are fitted, told for each."""
    x, y, weights, of = _all(sets, columns)
    groups = [f"{a}{b}" for a, b in zip(of, y, strict=True)]
    chances = np.stack([_chances(x, y, weights, groups, seed) for seed in range(_SEEDS)])
    return {name: _figures(y[of == name], chances[:, of == name]) for name in sets}


def _figures(y: NDArray[np.int64], chances: Floats) -> dict[str, Any]:
    curve = []
    for threshold in np.arange(0.05, 1.0, 0.05):
        answered = chances >= threshold
        curve.append(
            {
                "threshold": round(float(threshold), 2),
                "answered_of_answerable": round(float(answered[:, y == 1].mean()), 3),
                "abstained_of_unanswerable": round(float((~answered)[:, y == 0].mean()), 3),
            }
        )
    enough = answerable.ENOUGH
    accuracies = [balanced_accuracy_score(y, row >= enough) for row in chances]
    return {
        "questions": len(y),
        "balanced_accuracy": round(float(np.mean(accuracies)), 3),
        "auc": round(float(np.mean([roc_auc_score(y, row) for row in chances])), 3),
        "curve": curve,
    }


if __name__ == "__main__":
    main()
