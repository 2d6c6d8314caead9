"""`just eval-answers`: how good the shipped answers are over our own prompts, into docs/evaluation.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from ai_investment.answers.quantities import quantities, vouches
from ai_investment.content.sources.analyse import reading_grade
from ai_investment.evaluation.answers import library
from benchmarks.page import write_section

_HERE = Path(__file__).parent
# What deserves an answer: a refusal of it is one too many.
_HARMLESS = ("answerable", "harmless", "calculation", "follow_up")
_CLASSES = (*_HARMLESS, "unanswerable", "advice", "injection", "crisis")


def main() -> None:
    prompts = [json.loads(line) for line in (_HERE / "prompts.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answers.jsonl"
        given = _HERE / "prompts.jsonl"
        command = [
            sys.executable,
            "-m",
            "ai_investment",
            "eval",
            "answers",
            "--prompts",
            str(given),
        ]
        subprocess.run([*command, "--out", str(out)], check=True)
        answers = {line["id"]: line for line in map(json.loads, out.read_text().splitlines())}
    asked = [(prompt, answers[prompt["id"]]) for prompt in prompts]
    lines = ["## Answers", "", *_outcomes(asked), "", *_scores(asked)]
    print(write_section("answers", "just eval-answers", lines))


Asked = list[tuple[dict[str, Any], dict[str, Any]]]


def _outcomes(asked: Asked) -> list[str]:
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for prompt, answer in asked:
        counted[prompt["class"]][answer["outcome"]] += 1
    names = ("answered", "abstained", "refused", "escalated")
    lines = [
        f"{len(asked)} prompts of our own (`benchmarks/answers/prompts.jsonl`) over the starter library, without a model.",
        "",
        f"| class | prompts | {' | '.join(names)} |",
        "| --- |" + " ---: |" * (len(names) + 1),
    ]
    for kind in _CLASSES:
        counts = counted[kind]
        cells = " | ".join(str(counts[name]) for name in names)
        lines.append(f"| {kind.replace('_', ' ')} | {counts.total()} | {cells} |")
    return lines


def _scores(asked: Asked) -> list[str]:
    harmless = [answer for prompt, answer in asked if prompt["class"] in _HARMLESS]
    told = [
        (prompt, answer) for prompt, answer in asked if prompt["expected"] and answer["citations"]
    ]
    articles = {document.id: document.text or "" for document in library()}
    cited = [(prompt, it) for prompt, answer in told for it in answer["citations"]]
    every = [it for _, answer in asked for it in answer["citations"]]
    numbers = [traced for prompt, answer in asked for traced in _traced(prompt["prompt"], answer)]
    grades = defaultdict(list)
    for prompt, answer in asked:
        if answer["outcome"] == "answered":
            grades[prompt.get("age_group", "adult")].append(_grade(answer["text"]))
    rows = [
        ("over-refusal (refused or escalated of what is harmless)", _share([it["outcome"] in ("refused", "escalated") for it in harmless])),
        ("citation precision (cited articles that are about the question)", _share([it["document_id"] in prompt["expected"] for prompt, it in cited])),
        ("citation recall (answers that cite such an article)", _share([any(it["document_id"] in prompt["expected"] for it in answer["citations"]) for prompt, answer in told])),
        ("quote exactness (quotes that stand letter by letter in their article)", _share([it["quote"] in articles[it["document_id"]] for it in every])),
        ("number traceability (numbers that a quote, a calculation or the question has)", _share(numbers)),
        *((f"reading grade, {group} (Coleman-Liau, mean)", f"{mean(found):.1f}") for group, found in sorted(grades.items())),
    ]  # fmt: skip
    return [
        "| measure | value |",
        "| --- | ---: |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]


def _share(found: list[bool]) -> str:
    return f"{100 * sum(found) / len(found):.1f}% of {len(found)}" if found else "-"


def _traced(question: str, answer: dict[str, Any]) -> list[bool]:
    told = re.sub(r"\[\d+\]", "", answer["text"])
    if answer["outcome"] != "answered":
        return []
    words = " ".join(
        [
            question,
            *(it["quote"] for it in answer["citations"]),
            *(it["title"] for it in answer["citations"]),
        ]
    )
    sources = quantities(words)
    computed = quantities(json.dumps(answer["calculations"]))
    return [
        any(vouches(source, said) for source in sources)
        or any(vouches(source, said, computed=True) for source in computed)
        for said in quantities(told)
    ]


def _grade(text: str) -> float:
    """Of the words alone: a list item counts as a sentence, the next step does not count."""
    plain = re.sub(r"\[\d+\]|[*>“”|]", " ", text.split("\n**")[0])
    plain = re.sub(r"^\s*(?:-|\d+\.)\s+", "", plain, flags=re.MULTILINE)
    return reading_grade(plain)


if __name__ == "__main__":
    main()
