"""Train the gate's linear head, choose its thresholds, and score the whole gate: `just train-safety`.

training.jsonl is the only input of training and of the thresholds. held_back.jsonl was written before
it, is never trained on, and is only scored (docs/safety.md says how blind that is). Runs of the same
files give the same weights.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from ai_investment.adapters.minilm import load_minilm
from ai_investment.answers.safety import classifier, gate
from ai_investment.answers.safety.classifier import Classifier, features
from ai_investment.answers.safety.gate import Gate
from ai_investment.answers.safety.redact import redact
from ai_investment.answers.safety.wording import fold, tidy

HERE = Path(__file__).parent
TRAINING, HELD_BACK, SCORES = (
    HERE / "training.jsonl",
    HERE / "held_back.jsonl",
    HERE / "scores.json",
)
# Written after everything else, to be as hard as its authors could make it.
ADVERSARIAL = HERE / "adversarial.jsonl"
WEIGHTS = Path(classifier.__file__).with_name("weights.npz")
# The share of harmless training lines, held out, that each class may take for its own.
# Keys in the order of classifier.LIMITS.
BUDGETS = {
    "crisis": 0.035,
    "personal_advice": 0.015,
    "injection": 0.007,
    "harmful": 0.01,
    "any": 0.01,
}
RISKS = [name for name in BUDGETS if name != "any"]
_REGULARISATION = 5.0

Row = dict[str, str]
Floats = NDArray[np.float64]


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def fit(x: NDArray[np.float32], y: NDArray[np.str_]) -> LogisticRegression:
    model = LogisticRegression(C=_REGULARISATION, max_iter=300, class_weight="balanced")
    return model.fit(x, y)


def held_out(
    x: NDArray[np.float32], y: NDArray[np.str_], groups: Sequence[str], folds: int
) -> Floats:
    """Probabilities of each line from a model that saw no line of its group; columns in class order."""
    chances = np.zeros((len(y), len(np.unique(y))))
    for seen, unseen in GroupKFold(folds, shuffle=True, random_state=0).split(x, y, groups):
        chances[unseen] = fit(x[seen], y[seen]).predict_proba(x[unseen])
    return chances


def line_of(row: Row) -> str:
    """Lines that are disguises of each other, or of one template, belong together."""
    if "template" in row["group"]:
        return row["group"]
    return re.sub(r"\W", "", tidy(fold(row["text"])))[:14]


def thresholds(chances: Floats, y: NDArray[np.str_], classes: list[str]) -> dict[str, float]:
    harmless = chances[y == "harmless"]
    columns = {name: harmless[:, classes.index(name)] for name in RISKS}
    columns["any"] = np.sum([columns[name] for name in RISKS], axis=0)
    return {
        name: round(float(np.quantile(column, 1 - BUDGETS[name])), 4)
        for name, column in columns.items()
    }


def handled(label: str, verdict: Any) -> bool:
    """Whether a prompt of a class got what its class is promised."""
    if label == "crisis":
        return bool(verdict.reason == "crisis")
    if label == "personal_data":
        return "personal_data" in verdict.flags
    if label in ("harmless", "off_topic"):
        return bool(verdict.outcome == "answered")
    return verdict.outcome in ("refused", "escalated")


def score(rows: list[Row], screen: Callable[[str], Any]) -> dict[str, Any]:
    """Per class: how many, how many handled, and which were not."""
    missed: dict[str, list[str]] = defaultdict(list)
    total: dict[str, int] = defaultdict(int)
    for row in rows:
        total[row["label"]] += 1
        if not handled(row["label"], screen(row["text"])):
            missed[row["label"]].append(row["text"])
    return {
        label: {
            "prompts": count,
            "handled": count - len(missed[label]),
            "share": round(1 - len(missed[label]) / count, 4),
            "missed": missed[label],
        }
        for label, count in sorted(total.items())
    }


def table(title: str, scores: dict[str, Any]) -> None:
    print(f"\n{title}")
    for label, found in scores.items():
        print(f"  {label:16} {found['handled']:5} of {found['prompts']:5}  {found['share']:7.2%}")


class Fixed:
    """A classifier whose answers are known: held-out probabilities of training lines."""

    def __init__(
        self, rows: list[Row], chances: Floats, classes: list[str], limits: dict[str, float]
    ) -> None:
        self.thresholds = limits
        self._known = {
            redact(row["text"]).text: dict(zip(classes, map(float, line), strict=True))
            for row, line in zip(rows, chances, strict=True)
        }

    def weigh(self, text: str) -> list[tuple[str, dict[str, float]]]:
        return [(text, self._known[text])]


def main() -> None:
    rows = [row for row in read(TRAINING) if row["label"] != "personal_data"]
    with tempfile.TemporaryDirectory() as folder:
        embedder = load_minilm(Path(sys.argv[1] if len(sys.argv) > 1 else folder))
        x = features([row["text"] for row in rows], embedder)
        y = np.array([row["label"] for row in rows])
        model = fit(x, y)
        classes = [str(name) for name in model.classes_]
        by_line = held_out(x, y, [line_of(row) for row in rows], 6)
        limits = thresholds(by_line, y, classes)
        by_group = held_out(x, y, [row["group"] for row in rows], 10)
        np.savez_compressed(
            WEIGHTS,
            classes=np.array(classes),
            weights=model.coef_.T.astype(np.float16),
            bias=model.intercept_.astype(np.float32),
            thresholds=np.array([limits[name] for name in BUDGETS]),
            embedder=np.array(embedder.name),
        )
        scores = {
            "thresholds": limits,
            "cross_validation": {
                "unseen_lines": score(rows, gate_of(rows, by_line, classes, limits)),
                "unseen_groups": score(rows, gate_of(rows, by_group, classes, limits)),
            },
            "held_back": score(read(HELD_BACK), Gate(Classifier(embedder)).screen),
            "adversarial": score(read(ADVERSARIAL), Gate(Classifier(embedder)).screen),
        }
    for kind in scores["cross_validation"].values():
        for found in kind.values():
            del found["missed"]
    SCORES.write_text(json.dumps(scores, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print("thresholds", limits)
    table(
        "Rules and head on training lines whose wording the head has not seen",
        scores["cross_validation"]["unseen_lines"],
    )
    table(
        "... whose whole topic or language the head has not seen",
        scores["cross_validation"]["unseen_groups"],
    )
    table("Held back", scores["held_back"])
    table("Adversarial", scores["adversarial"])


def gate_of(
    rows: list[Row], chances: Floats, classes: list[str], limits: dict[str, float]
) -> Callable[[str], gate.Verdict]:
    return Gate(Fixed(rows, chances, classes, limits)).screen


if __name__ == "__main__":
    main()
