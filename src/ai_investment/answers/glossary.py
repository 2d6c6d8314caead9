"""Words that an answer uses and does not explain, with their meaning quoted from the library's glossary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ai_investment.answers.quotes import Found
from ai_investment.content.find import Passage
from ai_investment.content.models import Document, DocumentVersion, PassageRow
from ai_investment.db import Database

KEY = "library:glossary"
_ENTRY = re.compile(r"^[-*•]\s+(?P<entry>(?P<term>[^:\n]{2,40}): [^\n]+[.!?])$", re.MULTILINE)


# "Funds spread money": a term only after one of these.
_VERBS_TOO = {"spread", "return", "yield"}
_BEFORE_A_NOUN = {
    "the",
    "a",
    "an",
    "its",
    "this",
    "that",
    "of",
    "high",
    "low",
    "total",
    "real",
    "average",
    "bid",
    "yearly",
    "good",
}


@dataclass(frozen=True)
class Entry:
    """A term and the line that explains it. `words`: as it is written, in small letters."""

    words: tuple[str, ...]
    found: Found


class Glossary:
    """The entries of the document with the key `library:glossary`, read again when it has changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: str | None = None
        self._entries: list[Entry] = []

    async def explain(self, text: str, question: str, most: int) -> list[Found]:
        """Meanings of at most `most` terms that `text` uses, in the order in which it does.

        None of those that were asked about, and none that the text itself says the meaning of.
        """
        said, asked = _words(text), _words(question)
        used: list[tuple[int, Entry]] = []
        for entry in await self._current():
            place = _place(entry.words, said)
            known = _place(entry.words, asked) is not None or _is_told(entry, text)
            if place is not None and not known:
                used.append((place, entry))
        return [entry.found for _, entry in sorted(used, key=lambda item: item[0])[:most]]

    async def _current(self) -> list[Entry]:
        live = sa.select(Document.live_version_id).where(
            Document.key == KEY, Document.deleted_at.is_(None)
        )
        async with self._database.reading() as read:
            version = (await read.execute(live)).scalar_one_or_none()
            if version != self._version:
                self._entries = await self._read(version) if version else []
                self._version = version
        return self._entries

    async def _read(self, version: str) -> list[Entry]:
        query = (
            sa.select(
                PassageRow.id, DocumentVersion.document_id, DocumentVersion.title, DocumentVersion.url,
                Document.source, DocumentVersion.published_at, PassageRow.heading, PassageRow.text,
                sa.literal(0.0), PassageRow.position, DocumentVersion.number,
            )
            .join(DocumentVersion, DocumentVersion.id == PassageRow.version_id)
            .join(Document, Document.id == DocumentVersion.document_id)
            .where(PassageRow.version_id == version)
        )  # fmt: skip
        async with self._database.reading() as read:
            passages = [Passage(*tuple(row)) for row in await read.execute(query)]
        return [entry for passage in passages for entry in entries(passage)]


def entries(passage: Passage) -> list[Entry]:
    """The lines `- Term: meaning.` of a passage."""
    return [
        Entry(
            _words(match["term"]),
            Found(passage, match.start("entry"), match.end("entry")),
        )
        for match in _ENTRY.finditer(passage.text)
    ]


def _words(text: str) -> tuple[str, ...]:
    """The words of a text; "fees" is "fee", but "spreading" is no "spread"."""
    return tuple(
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in re.findall(r"[^\W_]+", text.lower())
    )


def _place(words: Sequence[str], said: Sequence[str]) -> int | None:
    """Where the words of a term stand one after the other, and are no verb."""
    size = len(words)
    places = (
        n
        for n in range(len(said) - size + 1)
        if tuple(said[n : n + size]) == tuple(words)
        and (words[0] not in _VERBS_TOO or (n and said[n - 1] in _BEFORE_A_NOUN))
    )
    return next(places, None)


def _is_told(entry: Entry, text: str) -> bool:
    """Whether the text says what the term means: "Volatility is how much …", "is called the spread"."""
    found = entry.found
    term = found.passage.text[found.start : found.end].split(":", 1)[0]
    words = r"[\s-]+".join(re.escape(word) + r"\w*" for word in term.split())
    meaning = (
        r"(?:(?:is|are)\s+(?:an?|the|any|how|what|when|money)|means?|measures?|happens?|tells?)\b"
    )
    told = (
        rf"\b{words}(?:,[^,.]*,)?\s+{meaning}|\b{words}:|{words}[\"”]?,?\s+which\s+{meaning}"
        rf"|\b(?:called|known as|named)\s+(?:an?\s+|the\s+)?[\"“]?{words}"
    )
    return bool(re.search(told, text, re.IGNORECASE))
