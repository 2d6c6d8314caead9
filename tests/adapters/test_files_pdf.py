"""PDFs become sentences with plain letters and unchanged numbers, or a reason."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from tests.adapters.reading import CASES, outline, read, reason


def pdf(*pages: list[str], draw: Callable[[Any], object] = bool, **options: object) -> bytes:
    """A PDF with one line of text under the other; `draw` adds to the first page."""
    out = io.BytesIO()
    canvas = Canvas(out, **options)
    for number, lines in enumerate(pages):
        if number == 0:
            draw(canvas)
        for row, line in enumerate(lines):
            canvas.drawString(72, 750 - 14 * row, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


class TestPdf:
    def test_ligatures_are_letters(self) -> None:
        folder = CASES / "pdf-ligatures"
        expected = json.loads((folder / "expected.json").read_text())
        found = read((folder / "factsheet.pdf").read_bytes(), "factsheet.pdf", "application/pdf")
        assert all(wanted in found.text for wanted in expected["must_match"])

    def test_superscripts_and_fractions_stay_what_they_are(self) -> None:
        assert read(pdf(["An area of 10 m² and ½ percent."]), "a.pdf").text == (
            "An area of 10 m² and ½ percent."
        )

    def test_lines_of_a_sentence_are_joined_and_rows_are_not(self) -> None:
        found = read(
            pdf(
                [
                    "What it costs",
                    "The total expense ratio of a fund is the share of your money that it takes each",
                    "year. It is well-known that the long-term invest-",
                    "ment result depends on it, and a well-",
                    "known index fund is cheap.",
                    "Fund Fee",
                    "A 0.25%",
                ],
                ["Second page."],
            ),
            "a.pdf",
        )
        assert found.text == (
            "What it costs\n"
            "The total expense ratio of a fund is the share of your money that it takes each year. "
            "It is well-known that the long-term investment result depends on it, and a well-known "
            "index fund is cheap.\n"
            "Fund Fee\nA 0.25%\n\nSecond page."
        )

    def test_bookmarks_are_headings(self) -> None:
        def draw(canvas: Any) -> None:
            canvas.setTitle("Fact sheet")
            canvas.setAuthor("A. Uthor")
            for level, title in enumerate(["What it costs", "Yearly fee"]):
                canvas.bookmarkPage(title)
                canvas.addOutlineEntry(title, title, level)

        found = read(pdf(["WHAT IT COSTS", "Little.", "Yearly fee", "0.2%"], draw=draw), "a.pdf")
        assert outline(found) == [(1, "WHAT IT COSTS"), (2, "Yearly fee")]
        assert (found.title, found.author) == ("Fact sheet", "A. Uthor")
        assert found.published_at is None

    def test_a_pdf_is_known_by_its_bytes(self) -> None:
        assert read(pdf(["Fees are low."]), "page.html", "text/html").text == "Fees are low."

    def test_what_cannot_be_read(self) -> None:
        whole = pdf(["Fees are low."], ["Risk is high."])
        assert "damaged" in reason(whole[: len(whole) // 2], "a.pdf")
        assert "damaged" in reason(b"%PDF-1.7\njunk\n%%EOF", "a.pdf")
        assert "password" in reason(pdf(["x"], encrypt="secret"), "a.pdf")
        assert "no text" in reason(pdf([]), "a.pdf")

    def test_a_pdf_that_opens_without_a_password_is_read(self) -> None:
        data = pdf(["Fees are low."], encrypt=StandardEncryption("", ownerPassword="owner"))
        assert read(data, "a.pdf").text == "Fees are low."

    def test_too_many_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from ai_investment.adapters.files import pdf as reader

        monkeypatch.setattr(reader, "MAX_PAGES", 1)
        assert reason(pdf(["a"], ["b"]), "a.pdf") == "The PDF has more than 1 pages."
