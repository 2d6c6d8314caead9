"""The starter library keeps its promises to readers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ai_investment.content
from ai_investment.adapters.files import extract

ARTICLES = sorted((Path(ai_investment.content.__file__).parent / "library").glob("*.md"))
TOPICS = {
    "basics",
    "shares",
    "bonds",
    "funds",
    "fees",
    "risk",
    "economy",
    "saving",
    "portfolio",
    "safety",
    "markets",
    "taxes",
}


def test_there_are_at_least_twenty_articles() -> None:
    assert len(ARTICLES) >= 20


@pytest.mark.parametrize("path", ARTICLES, ids=lambda path: path.stem)
def test_an_article_is_complete_and_of_the_right_length(path: Path) -> None:
    article = extract(path.read_bytes(), media_type="text/markdown", name=path.name)
    assert article.title
    assert article.meta["topic"] in TOPICS
    assert article.meta["level"] in ("beginner", "intermediate")
    assert article.meta["summary"]
    assert article.meta["reviewed"].year >= 2026
    assert len(article.meta["sources"]) >= 2
    assert all(source.url.startswith("https://") for source in article.meta["sources"])
    assert 500 <= len(article.text.split()) <= 1000
    assert len(article.headings) >= 4


@pytest.mark.parametrize("path", ARTICLES, ids=lambda path: path.stem)
def test_an_article_advises_no_one_to_buy_or_sell_and_promises_nothing(path: Path) -> None:
    text = path.read_text().lower()
    forbidden = (
        r"\byou should (?:buy|sell|invest in)\b|\bwe recommend\b|guaranteed? (?:profit|return)s? of"
    )
    assert not re.search(forbidden, text)
