"""`eval answers`: what the shipped system answers to prompts, by the path of every answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from ai_investment.adapters.files import extract
from ai_investment.answers.glossary import Glossary
from ai_investment.answers.models import Answer, Answerer, Reader
from ai_investment.answers.quoting import QuotingAnswerer
from ai_investment.answers.safety.classifier import Classifier
from ai_investment.answers.safety.gate import Gate
from ai_investment.answers.safety.intake import receive
from ai_investment.answers.safety.verdicts import Exchange, Person
from ai_investment.chat.respond import Answering, respond
from ai_investment.evaluation.beir import BeirDocument, BeirQuery, read_lines
from ai_investment.evaluation.collection import load
from ai_investment.evaluation.retrieval import Bar
from ai_investment.evaluation.stores import CannotEvaluate, Stores, temporary_stores

# As many questions at once as the embedding model has threads; more would only wait for it.
_AT_ONCE = 4
_AGES = {"under_13": 12, "13-15": 14, "16-17": 16, "adult": 30}


class Prompt(msgspec.Struct, frozen=True):
    """`age_group`: under_13, 13-15, 16-17, adult, or an age; `turns`: the conversation before, oldest first."""

    id: str
    prompt: str
    age_group: str | int | None = None
    turns: list[list[str] | dict[str, object] | str] = []

    @property
    def age(self) -> int | None:
        if self.age_group is None:
            return None
        group = str(self.age_group).replace("–", "-").strip().lower()
        if group.isdigit():
            return int(group)
        if group not in _AGES:
            raise CannotEvaluate(
                f"prompt {self.id}: age_group is one of {', '.join(_AGES)}, or an age"
            )
        return _AGES[group]


class Line(msgspec.Struct, frozen=True):
    """What is written of an answer."""

    id: str
    outcome: str
    reason: str | None
    text: str
    citations: list[dict[str, Any]]
    calculations: list[Any]
    safety: dict[str, Any]


@dataclass
class _Use:
    """What the answers worker has, on temporary stores."""

    dense: Any
    lexical: Any
    answerer: Answerer
    gate: Gate
    glossary: Glossary


async def evaluate(
    prompts: Path, out: Path, *, corpus: Path | None, model_cache: Path, bar: Bar
) -> int:
    """Answer each prompt without a model and write a line for it, in the order given.

    `corpus` is in BEIR's form; without one the starter library is asked. Returns the number of prompts.
    Raises CannotEvaluate for files of another form.
    """
    asked = list(read_lines(prompts, Prompt))
    if not asked:
        raise CannotEvaluate("there are no prompts")
    ages = [prompt.age for prompt in asked]
    documents = list(read_lines(corpus, BeirDocument)) if corpus else library()
    async with temporary_stores(model_cache) as stores:
        with bar("Indexing documents", len(documents)) as advance:
            theirs = await load(stores, documents, advance)
        use = _Use(
            stores.dense,
            stores.lexical,
            QuotingAnswerer(stores.embedder),
            Gate(Classifier(stores.embedder)),
            Glossary(stores.database),
        )
        free = asyncio.Semaphore(_AT_ONCE)
        with bar("Asking", len(asked)) as advance:

            async def one(prompt: Prompt, age: int | None) -> Line:
                async with free:
                    answer = await _answer(stores, use, prompt, age)
                advance(1)
                return _line(prompt, answer, theirs)

            lines = await asyncio.gather(*map(one, asked, ages))
    partial = out.with_name(f"{out.name}.partial")
    partial.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    partial.replace(out)
    return len(lines)


async def _answer(stores: Stores, use: Answering, prompt: Prompt, age: int | None) -> Answer:
    received = receive(prompt.prompt, age)
    turns = BeirQuery(prompt.id, prompt.prompt, prompt.turns).question().earlier
    history = [Exchange(turn.text, "answered") for turn in turns if turn.mine]
    verdict = await asyncio.to_thread(
        use.gate.screen, received.text, history, Person(age), received.flags
    )

    async def show(_: str) -> None:
        return None

    return await respond(
        prompt.id, verdict, turns, Reader(None, age), database=stores.database, use=use, show=show
    )


def _line(prompt: Prompt, answer: Answer, theirs: dict[str, str]) -> Line:
    """With the documents' ids as they came."""
    built = msgspec.to_builtins(answer)
    citations = [{**it, "document_id": theirs[it["document_id"]]} for it in built["citations"]]
    return Line(
        prompt.id,
        answer.outcome,
        answer.reason,
        answer.text,
        citations,
        built["calculations"],
        built["safety"],
    )


def library() -> list[BeirDocument]:
    """The starter library; an article's id is the name of its file."""
    folder = Path(str(files("ai_investment.content"))) / "library"
    found = []
    for path in sorted(folder.glob("*.md")):
        article = extract(path.read_bytes(), media_type="text/markdown", name=path.name)
        headings = msgspec.to_builtins(article.headings)
        found.append(
            BeirDocument(path.stem, article.title, article.text, f"library:{path.stem}", headings)
        )
    return found
