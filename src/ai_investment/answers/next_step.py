"""What a reader may do next: a question that was found near theirs, or a document to read."""

from __future__ import annotations

from collections.abc import Sequence

from ai_investment.answers.models import Citation, Suggestion
from ai_investment.answers.words import content_stems
from ai_investment.calculators.registry import CALCULATORS
from ai_investment.content.find import Passage

_MOST = 3
# A passage much farther from the question than the best one is about something else.
_NEAR = 0.75


def what_next(
    question: str, passages: Sequence[Passage], citations: Sequence[Citation]
) -> list[Suggestion]:
    """At most three steps, best first: a question of the cited documents, then documents near by."""
    cited_passages = {citation.passage_id for citation in citations}
    cited = {citation.document_id for citation in citations}
    quoted = {(item.document_id, item.heading) for item in passages if item.id in cited_passages}
    near = [item for item in passages if item.score >= _NEAR * passages[0].score]
    questions: dict[str, Suggestion] = {}
    documents: dict[str, Suggestion] = {}
    asked = set(content_stems(question))
    for passage in near:
        heading = (passage.heading or "").rsplit(" > ", 1)[-1]
        fresh = (passage.document_id, passage.heading) not in quoted
        if passage.document_id not in cited:
            documents[passage.document_id] = Suggestion(
                "content", passage.title, passage.document_id
            )
        elif (
            fresh and _is_question(heading, passage.title) and set(content_stems(heading)) != asked
        ):
            questions[heading] = Suggestion("question", heading, heading)
    others = [*questions.values()]
    return [*others[:1], *_calculators(question), *documents.values(), *others[1:]][:_MOST]


def _calculators(question: str) -> list[Suggestion]:
    """Those whose name stands in the question."""
    asked = set(content_stems(question))
    return [
        Suggestion("calculator", item.title, item.name)
        for item in CALCULATORS.values()
        if set(content_stems(item.title)) <= asked
    ]


def _is_question(heading: str, title: str) -> bool:
    """Whether a heading can be asked by itself: a question that names what it is about."""
    return heading.endswith("?") and not set(content_stems(heading)).isdisjoint(
        content_stems(title)
    )
