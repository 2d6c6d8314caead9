"""`just eval-retrieval`: what each part of retrieval finds, and when answers abstain, into docs/evaluation.md.

The development set is MT-RAG's (mtrag/README.md): 234 answerable questions over 995 passages. Everything runs
by the production path in temporary stores.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ai_investment.answers.rewrite import standalone
from ai_investment.cli.evaluate import progress_bar
from ai_investment.content.query import Question
from ai_investment.content.ranking import Ranking, by_document, highest, rank
from ai_investment.evaluation.beir import BeirDocument, BeirQuery, read_lines
from ai_investment.evaluation.collection import load
from ai_investment.evaluation.stores import temporary_stores
from benchmarks.page import write_section
from benchmarks.retrieval.tune import CURVES, HERE, Labelled

_TOP = 10
_RESAMPLED = 2000
_ENOUGH = 400
Judged = dict[str, dict[str, int]]


def main() -> None:
    cache = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".data/models")
    found = asyncio.run(_measured(cache))
    lines = [*_table(found), "", *_abstention(json.loads(CURVES.read_text("utf-8")))]
    print(write_section("retrieval", "just eval-retrieval", ["## Retrieval", "", *lines]))


async def _measured(cache: Path) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """nDCG@10 and Recall@10 of every question, by what was asked and by which part."""
    judged = _judged()
    asked = [
        it for it in read_lines(HERE / "mtrag" / "questions.jsonl", Labelled) if it.id in judged
    ]
    documents = list(read_lines(HERE / "mtrag" / "corpus.jsonl", BeirDocument))
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    async with temporary_stores(cache) as stores:
        with progress_bar("Indexing", len(documents)) as advance:
            theirs = await load(stores, documents, advance)
        with progress_bar("Asking", len(asked)) as advance:
            for it in asked:
                for how, question in _ways(it).items():
                    ranking = await rank(
                        stores.database, stores.dense, stores.lexical, question, enough=_ENOUGH
                    )
                    for part, ranked in _parts(ranking).items():
                        names = [theirs[document] for document in ranked[:_TOP]]
                        found[how, part].append(scores(names, judged[it.id]))
                advance(1)
    return found


def _judged() -> Judged:
    judged: Judged = defaultdict(dict)
    for line in (HERE / "mtrag" / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        question, document, grade = line.split("\t")
        judged[question][document] = int(grade)
    return judged


def _ways(asked: Labelled) -> dict[str, Question]:
    whole = BeirQuery(asked.id, "", list(asked.turns)).question()
    return {
        "last turn": Question(whole.text),
        "last turn, rewritten": Question(standalone(whole.text, whole.earlier)),
        "conversation (shipped)": whole,
    }


def _parts(ranking: Ranking) -> dict[str, Sequence[str]]:
    """Document ids, best first, by meaning alone, by words alone, and by both."""
    return {
        "dense": list(highest(ranking, "cosine")),
        "lexical": list(highest(ranking, "bm25")),
        "hybrid": [item.document_id for item in by_document(ranking)],
    }


def scores(names: Sequence[str], grades: dict[str, int]) -> tuple[float, float]:
    """nDCG@10 with gains 2^grade - 1 (Järvelin and Kekäläinen, 2002) and Recall@10."""
    gains = [
        (2 ** grades.get(name, 0) - 1) / math.log2(place + 2) for place, name in enumerate(names)
    ]
    ideal = sorted(grades.values(), reverse=True)[:_TOP]
    best = sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(ideal))
    relevant = {name for name, grade in grades.items() if grade > 0}
    return sum(gains) / best, len(relevant & set(names)) / min(_TOP, len(relevant))


def _table(found: dict[tuple[str, str], list[tuple[float, float]]]) -> list[str]:
    count = len(next(iter(found.values())))
    lines = [
        f"{count} answerable questions over 995 passages of MT-RAG (`benchmarks/retrieval/mtrag`); 95% bootstrap intervals.",
        "",
        "| asked with | part | nDCG@10 | Recall@10 |",
        "| --- | --- | ---: | ---: |",
    ]
    for (how, part), values in found.items():
        ndcg, recall = (interval([value[side] for value in values]) for side in (0, 1))
        lines.append(f"| {how} | {part} | {ndcg} | {recall} |")
    return lines


def interval(values: Sequence[float]) -> str:
    """The mean with the middle 95% of the means of 2,000 resamples (percentile bootstrap; Efron, 1979)."""
    sample = np.array(values)
    chance = np.random.default_rng(0)
    means = sample[chance.integers(0, len(sample), (_RESAMPLED, len(sample)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{sample.mean():.3f} ({low:.3f}–{high:.3f})"


def _abstention(curves: dict[str, Any]) -> list[str]:
    lines = [
        "### Abstention",
        "",
        "Answerable against unanswerable questions, ten-fold cross-validated, five shuffles. *alone*: fitted on this collection;",
        "*shipped*: fitted on both, each counting the same (`just tune-abstention`).",
        "",
        "| collection | questions | fit | balanced accuracy | AUC | by words alone |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for name in ("mtrag", "library"):
        for fit, full, words in (
            ("alone", curves["both"][name], curves["words_only"][name]),
            ("shipped", curves["both"]["together"][name], curves["words_only"]["together"][name]),
        ):
            lines.append(
                f"| {name} | {full['questions']} | {fit} | {full['balanced_accuracy']:.3f} | {full['auc']:.3f} "
                f"| {words['balanced_accuracy']:.3f} |"
            )
    together = curves["both"]["together"]
    lines += [
        "",
        "The curve of the shipped fit; answers are given from 0.50 on.",
        "",
        "| chance from which on is answered | answered of answerable: mtrag | library | abstained of unanswerable: mtrag | library |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for one, other in zip(together["mtrag"]["curve"], together["library"]["curve"], strict=True):
        cells = [one["answered_of_answerable"], other["answered_of_answerable"],
                 one["abstained_of_unanswerable"], other["abstained_of_unanswerable"]]  # fmt: skip
        lines.append(f"| {one['threshold']:.2f} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    return lines


if __name__ == "__main__":
    main()
