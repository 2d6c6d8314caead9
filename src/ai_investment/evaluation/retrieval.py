"""`eval retrieval`: which documents the shipped retrieval finds for questions, as a TREC-like run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ai_investment.content.query import Question
from ai_investment.content.ranking import by_document, rank
from ai_investment.evaluation.beir import BeirDocument, BeirQuery, read_lines
from ai_investment.evaluation.collection import load
from ai_investment.evaluation.stores import CannotEvaluate, Stores, temporary_stores

# A document has several passages among the candidates.
_PASSAGES_A_DOCUMENT = 4


class Bar(Protocol):
    """A progress bar: called with what it counts and how many there are, gives `advance(by)`."""

    def __call__(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


async def evaluate(
    corpus: Path, queries: Path, out: Path, *, top_k: int, model_cache: Path, bar: Bar
) -> int:
    """Write lines `query_id<TAB>doc_id<TAB>score`, best first; a document scores as its best passage.

    Returns the number of questions. Raises CannotEvaluate for files of another form.
    """
    documents = list(read_lines(corpus, BeirDocument))
    questions = list(read_lines(queries, BeirQuery))
    if not documents or not questions:
        raise CannotEvaluate(
            "there are no documents" if not documents else "there are no questions"
        )
    async with temporary_stores(model_cache) as stores:
        with bar("Indexing documents", len(documents)) as advance:
            theirs = await load(stores, documents, advance)
        partial = out.with_name(f"{out.name}.partial")
        with partial.open("w", encoding="utf-8") as file, bar("Asking", len(questions)) as advance:
            for query in questions:
                for document_id, score in await best_documents(stores, query.question(), top_k):
                    file.write(f"{query.id}\t{theirs[document_id]}\t{score:.6f}\n")
                advance(1)
        partial.replace(out)
    return len(questions)


async def best_documents(stores: Stores, question: Question, top_k: int) -> list[tuple[str, float]]:
    """Document ids and scores by the ranking that answers and search use, best first."""
    ranking = await rank(
        stores.database,
        stores.dense,
        stores.lexical,
        question,
        enough=top_k * _PASSAGES_A_DOCUMENT,
    )
    if ranking.degraded:
        raise CannotEvaluate("the Chroma server stopped answering while questions were asked")
    return [(item.document_id, item.score) for item in by_document(ranking)[:top_k]]
