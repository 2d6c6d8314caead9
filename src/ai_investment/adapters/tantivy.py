"""The index of words, on tantivy, in memory: BM25 over stemmed English words without stop words."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

import tantivy
from rapidfuzz import process
from rapidfuzz.distance import OSA
from tantivy import Filter, Occur, Query, TextAnalyzerBuilder, Tokenizer

from ai_investment.content.revisions import Change
from ai_investment.content.vectors import Hit

_ANALYZER = "words"
_HEAP = 30_000_000
_LONGEST_WORD = 40
# No subject is asked for by these. Longer than the usual lists by the words questions are made of.
_STOP_WORDS = [
    "a",
    "about",
    "also",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "being",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "don",
    "for",
    "from",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "him",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "just",
    "me",
    "might",
    "must",
    "my",
    "of",
    "on",
    "or",
    "our",
    "ours",
    "please",
    "re",
    "s",
    "shall",
    "she",
    "should",
    "so",
    "some",
    "such",
    "t",
    "tell",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "too",
    "us",
    "ve",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "who",
    "whom",
    "whose",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
    "yours",
    "ll",
    "d",
    "m",
]


class TantivyIndex:
    """`Lexical` in this process's memory."""

    def __init__(self) -> None:
        fields = tantivy.SchemaBuilder()
        fields.add_integer_field("number", fast=True)
        fields.add_text_field("document", tokenizer_name="raw", index_option="basic")
        fields.add_text_field("words", tokenizer_name=_ANALYZER, index_option="freq")
        self._schema = fields.build()
        self._analyzer = (
            TextAnalyzerBuilder(Tokenizer.simple())
            .filter(Filter.remove_long(_LONGEST_WORD))
            .filter(Filter.lowercase())
            .filter(Filter.ascii_fold())
            .filter(Filter.custom_stopword(_STOP_WORDS))
            .filter(Filter.stemmer("english"))
            .build()
        )
        self._index = tantivy.Index(self._schema)
        self._index.register_tokenizer(_ANALYZER, self._analyzer)
        self._writer = self._index.writer(_HEAP, 1)
        self._writing = threading.Lock()
        self._ids: dict[int, str] = {}
        self._numbers: dict[str, list[int]] = {}
        self._next = 0

    def apply(self, changes: Sequence[Change]) -> None:
        with self._writing:
            gone = [n for change in changes for n in self._numbers.pop(change.document_id, ())]
            for change in changes:
                self._writer.delete_documents_by_term("document", change.document_id)
                self._add(change)
            self._writer.commit()
            self._index.reload()
            for number in gone:
                self._ids.pop(number, None)

    def _add(self, change: Change) -> None:
        numbers = range(self._next, self._next + len(change.passages))
        self._next = numbers.stop
        for number, passage in zip(numbers, change.passages, strict=True):
            self._ids[number] = passage.id
            self._writer.add_document(
                tantivy.Document(number=number, document=change.document_id, words=passage.words)
            )
        if numbers:
            self._numbers[change.document_id] = list(numbers)

    def terms(self, text: str) -> list[str]:
        return self._analyzer.analyze(text)

    def search(self, terms: Mapping[str, float], limit: int) -> list[Hit]:
        if not terms:
            return []
        wanted = [
            (Occur.Should, Query.boost_query(self._term(term), weight))
            for term, weight in terms.items()
        ]
        searcher = self._index.searcher()
        found = searcher.search(Query.boolean_query(wanted), limit, count=False).hits
        numbers = searcher.fast_field_values("number", [address for _, address in found])
        ids = [self._ids.get(int(number or 0)) for number in numbers]
        return [
            Hit(passage_id, score)
            for (score, _), passage_id in zip(found, ids, strict=True)
            if passage_id is not None
        ]

    def rarity(self, term: str) -> float:
        searcher = self._index.searcher()
        have = searcher.doc_freq("words", term)
        return math.log(1 + (searcher.num_docs - have + 0.5) / (have + 0.5))

    def knows(self, term: str) -> bool:
        return self._index.searcher().doc_freq("words", term) > 0

    def nearest_known(self, term: str) -> str | None:
        if len(term) < 4 or not term.isascii() or not term.isalpha():
            return None
        known = self._index.searcher().terms_with_prefix("words", term[0])
        most = 1 if len(term) < 8 else 2
        near = process.extract(
            term, [word for word, _ in known], scorer=OSA.distance, score_cutoff=most, limit=None
        )
        if not near:
            return None
        # The nearest, and of those the one that most passages have: `known` is in that order.
        return min(near, key=lambda found: (found[1], found[2]))[0]

    def _term(self, term: str) -> Query:
        return Query.term_query(self._schema, "words", term, index_option="freq")
