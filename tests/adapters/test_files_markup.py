"""HTML and Markdown keep their words, lists, tables, headings and stated facts, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from ai_investment.content.extraction import Extracted, Reference
from tests.adapters.reading import CASES, PARAGRAPH, outline, page, read, reason


class TestMarkdown:
    def test_front_matter_becomes_facts(self) -> None:
        found = read(
            "---\n"
            "title: What are fees?\n"
            "author: [A. Writer, B. Writer]\n"
            "date: 2024-03-05T23:30:00-05:00\n"
            "lang: en-US\n"
            "topic: fees\n"
            "level: beginner\n"
            "summary: Fees add up.\n"
            "sources:\n  - title: A guide\n    url: https://example.org/fees\n"
            "reviewed: 2026-01-31\n"
            "---\n\nFees are small.\n",
            "fees.md",
        )
        assert found == Extracted(
            text="Fees are small.",
            title="What are fees?",
            author="A. Writer, B. Writer",
            published_at=datetime(2024, 3, 6, 4, 30, tzinfo=UTC),
            language="en",
            meta={
                "topic": "fees",
                "level": "beginner",
                "summary": "Fees add up.",
                "sources": [Reference(title="A guide", url="https://example.org/fees")],
                "reviewed": date(2026, 1, 31),
            },
        )

    def test_markup_becomes_plain_text(self) -> None:
        found = read(
            "Fees are **small** and\nadd [up](https://example.org/x), `0.5%` a year.\n\n"
            "## Which *fees*?\n\n"
            "- one\n  - nested\n- two\n\n"
            "3. third\n4. fourth\n\n"
            "| Fund | Fee |\n| --- | ---: |\n| A \\| B | **0.2%** |\n| C | |\n\n"
            "```\nx  =  1\n\n    y = 2\n```\n\n"
            "> Buy low. <b>Sell</b> high. 10<sup>2</sup>\n",
            "fees.md",
        )
        assert found.text == (
            "Fees are small and add up, 0.5% a year.\n\n"
            "Which fees?\n\n"
            "- one\n- nested\n- two\n\n"
            "3. third\n4. fourth\n\n"
            "Fund | Fee\nA | B | 0.2%\nC |\n\n"
            "x  =  1\n\n    y = 2\n\n"
            "Buy low. Sell high. 10²"
        )
        assert outline(found) == [(2, "Which fees?")]

    def test_without_front_matter_the_first_heading_is_the_title(self) -> None:
        found = read("Intro.\r\n\r\nSetext title\r\n===\r\n\r\nText.", "a.markdown")
        assert found.title == "Setext title"
        assert found.text == "Intro.\n\nSetext title\n\nText."
        assert found.meta == {}

    def test_rules_around_a_text_are_no_front_matter(self) -> None:
        assert read("---\njust words\n\n---\nmore", "a.md").text == "just words\n\nmore"

    def test_ill_formed_facts_are_left_out(self) -> None:
        found = read(
            "---\ntitle: [x]\ndate: soon\nsources: [1]\nurl: javascript:x\n---\nText", "a.md"
        )
        assert (found.title, found.published_at, found.url, found.meta) == (None, None, None, {})

    def test_invalid_yaml_names_the_line(self) -> None:
        assert reason("---\ntitle: a\nx: b: c\n---\nText", "a.md") == (
            "The front matter is not valid YAML in line 3."
        )
        assert "cannot be read" in reason("---\ndate: 2024-13-45\n---\nText", "a.md")

    def test_yaml_cannot_run_code(self) -> None:
        assert "not valid YAML" in reason(
            "---\nx: !!python/object/apply:os.getcwd []\n---\nT", "a.md"
        )

    def test_markup_alone_is_no_text(self) -> None:
        assert reason("---\ntitle: x\n---\n<!-- nothing -->\n", "a.md") == "The file holds no text."


class TestHtml:
    def test_span_wrapped_list_items_are_kept_and_navigation_is_not(self) -> None:
        folder = CASES / "html-list-span"
        expected = json.loads((folder / "expected.json").read_text())
        found = read((folder / "page.html").read_bytes(), "page.html", "text/html")
        places = [found.text.index(wanted) for wanted in expected["must_contain"]]
        assert places == sorted(places)
        assert not any(unwanted in found.text for unwanted in expected["must_not_contain"])
        assert "- The fund holds more than 500 companies\n- You do not need" in found.text
        assert "Home" not in found.text

    def test_every_list_item_is_kept_whatever_wraps_it(self) -> None:
        items = (
            "<li><div><span>first</span></div></li><li><a href='/x'>second</a></li>"
            "<li><p><span>third</span></p></li><li><b>fourth</b> <i>item</i></li>"
        )
        found = read(
            page(
                f"<h1>Funds</h1><p>{PARAGRAPH}</p><ol>{items}</ol>"
                f"<table><tr><td>Pros</td><td><ul><li><span>cheap</span></li><li>simple</li></ul></td></tr>"
                f"</table><p>{PARAGRAPH}</p>"
            ),
            "x.html",
        )
        assert "1. first\n2. second\n3. third\n4. fourth item\n\n" in found.text
        assert "Pros | cheap simple" in found.text

    def test_structure_and_facts(self) -> None:
        found = read(
            page(
                f"<h1>ETF <em>costs</em></h1><p>{PARAGRAPH}</p><h2>Table</h2><table><tr><th>Fund</th>"
                f"<th>Fee</th></tr><tr><td><b>A</b></td><td>5.25%<sup>1</sup></td></tr></table>"
                f"<h3>Code</h3><pre>a  b\n   c</pre><p>{PARAGRAPH}</p>",
                '<link rel="canonical" href="https://example.org/etf"><meta name="author" content="Jane Doe">'
                '<meta property="article:published_time" content="2024-03-05T23:30:00-05:00">'
                '<meta property="article:modified_time" content="2025-01-01T00:00:00Z">',
            ),
            "x",
            "text/html; charset=utf-8",
        )
        assert outline(found) == [(1, "ETF costs"), (2, "Table"), (3, "Code")]
        # A footnote mark is no digit: 5.251 would be another number.
        assert "Fund | Fee\nA | 5.25%¹\n\nCode\n\na  b\n   c\n\nInvesting" in found.text
        assert (found.title, found.author, found.language) == ("ETF costs", "Jane Doe", "en")
        assert found.url == "https://example.org/etf"
        assert found.published_at == datetime(2024, 3, 6, 4, 30, tzinfo=UTC)

    def test_no_date_is_made_up(self) -> None:
        found = read(page(f"<h1>H</h1><p>{PARAGRAPH} In 2018 rates rose.</p>"), "x.html")
        assert found.published_at is None

    @pytest.mark.parametrize(
        ("charset", "encoding", "media_type"),
        [
            ('<meta charset="iso-8859-1">', "cp1252", "text/html"),
            ("", "cp1252", "text/html; charset=ISO-8859-1"),
            ("", "cp1252", "text/html"),
            ("", "utf-16", "text/html"),
            ('<meta charset="iso-8859-1">', "utf-8", "text/html"),
            ('<meta charset="utf-16">', "utf-8", "text/html"),
            (
                '<meta http-equiv="Content-Type" content="text/html; charset=windows-1250">',
                "cp1250",
                None,
            ),
            ('<meta charset="no-such-charset">', "utf-8", None),
        ],
    )
    def test_encodings(self, charset: str, encoding: str, media_type: str | None) -> None:
        body = f"<p>Die Gebühren für Fonds fallen jedes Jahr an. „Größe“ zählt. {PARAGRAPH}</p>"
        found = read(page(body, charset=charset).encode(encoding), "seite.html", media_type)
        assert "Die Gebühren für Fonds fallen jedes Jahr an. „Größe“ zählt." in found.text

    def test_an_xhtml_encoding_declaration_is_no_obstacle(self) -> None:
        markup = (
            f"<?xml version='1.0' encoding='utf-8'?><html><body><p>{PARAGRAPH}</p></body></html>"
        )
        assert read(markup, "x.xhtml").text == PARAGRAPH

    def test_a_heading_in_a_list_item_is_a_heading(self) -> None:
        body = f"<p>{PARAGRAPH}</p><ul><li><h4>Costs</h4><p>They are low.</p></li></ul><p>{PARAGRAPH}</p>"
        found = read(page(body), "x.html")
        assert outline(found) == [(4, "Costs")]
        assert "Costs\n\n- They are low." in found.text

    def test_a_fragment_is_a_page(self) -> None:
        assert read(f"<p>{PARAGRAPH}</p>", "entry", "text/html").text == PARAGRAPH

    def test_a_page_without_text(self) -> None:
        assert "no readable text" in reason(
            "<html><body><script>x</script></body></html>", "x.html"
        )
