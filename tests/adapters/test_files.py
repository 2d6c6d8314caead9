"""Files of every kind become the text a reader sees, or a sentence that says why they cannot."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_investment.adapters import files
from ai_investment.content.extraction import Unreadable, scrub, tidy
from tests.adapters.reading import page, read, reason

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
    def test_encodings(self, encoding: str) -> None:
        text = "Les frais élevés réduisent le rendement à long terme. Être patient aide."
        assert read(text.encode(encoding), "note.txt").text == text

    def test_utf16_without_its_mark_is_read_when_declared(self) -> None:
        assert (
            read("Größe".encode("utf-16-le"), "a", "text/plain; charset=utf-16le").text == "Größe"
        )

    def test_other_scripts_in_old_encodings(self) -> None:
        russian = "Инвестиции означают отказ от чего-то сегодня ради будущего. " * 3
        assert read(russian.encode("cp1251"), "a.txt").text == russian.strip()

    def test_only_readable_characters_are_kept(self) -> None:
        text = "a\u00a0b\u200bc\u00add\x07 e\r\n\r\n\r\n\r\nCafe\u0301\tx  \u2028y\ufeff\u202e"
        padding = "Readable words. " * 20
        assert read(text + padding, "a.txt").text == f"a bcd e\n\nCafé\tx\ny{padding}".strip()

    def test_lines_wrapped_to_a_page_are_joined(self) -> None:
        text = (
            "Investing means giving up something today for a chance\n"
            "of more later. Costs are the one thing you can know in\n"
            "advance.\n- a list item\n- another one\n\nEnd.\nName\nCity"
        )
        assert read(text, "a.txt").text == (
            "Investing means giving up something today for a chance of more later. Costs are the one "
            "thing you can know in advance.\n- a list item\n- another one\n\nEnd.\nName\nCity"
        )

    def test_rows_and_short_lines_are_left_alone(self) -> None:
        text = "date,symbol,price\n2024-01-02,ABC,1.5\n2024-01-03,ABC,1.6\n\napples\npears\nplums"
        assert read(text, "a.txt").text == text

    def test_an_unknown_kind_is_tried_as_text(self) -> None:
        assert read("Fees are low.", "README").text == "Fees are low."
        assert read("Fees are low.", "x.bin", "application/octet-stream").text == "Fees are low."


class TestRefusals:
    @pytest.mark.parametrize("data", [b"", b" \r\n\t"])
    def test_nothing(self, data: bytes) -> None:
        assert reason(data, "a.txt") == "The file is empty."

    def test_binary_data(self) -> None:
        junk = zlib.compress(bytes(range(256)) * 50)
        assert reason(junk * 3, "a.txt").endswith(("binary data and not text.", "as UTF-8."))
        assert "could not be determined" in reason(bytes(range(128, 256)) * 5, "a.txt")
        assert "binary" in reason(b"PIC\x00\x01\x02\x03" * 50, "a.txt")

    def test_an_image_whatever_its_name(self) -> None:
        for name, media_type in (
            ("a.pdf", "application/pdf"),
            ("a.png", "image/png"),
            ("a.txt", None),
        ):
            assert "PNG image" in reason(PNG, name, media_type)

    def test_an_office_document(self) -> None:
        assert "Office" in reason(b"PK\x03\x04" + bytes(50), "a.docx")
        assert "application/msword" in reason("text", "a.doc", "application/msword")

    def test_a_web_page_saved_as_a_pdf(self) -> None:
        assert "web page" in reason(page("<p>Please log in.</p>"), "report.pdf", "application/pdf")
        assert reason("words", "report.pdf") == "The PDF is damaged or not a PDF."

    def test_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "MAX_BYTES", 1024**2)
        assert reason(b"a" * (1024**2 + 1), "a.txt") == "The file is larger than 1 MB."


MARKUP = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<ul>",
            "<li>",
            "</ul>",
            "<table>",
            "<tr>",
            "<td>",
            "<html>",
            "<head>",
            "<body>",
            "<pre>",
            "<code>",
            "<!--",
            "-->",
            "<sup>2</sup>",
            "#",
            "-",
            "1.",
            "|",
            "```",
            ">",
            "---",
            "**",
            "[a](b)",
            "&#0;",
            "&#xD800;",
            "&nbsp;",
            "<svg>",
            "<![CDATA[",
            "word",
            "5.25%",
            "é",
            "😀",
            "%PDF-1.4",
            "%%EOF",
        ]
    )
    | st.sampled_from(
        ["\n", "\n\n", "a | b\n--|--\n1 | 2\n", "---\nx: y\n---\n", "\x00", "\ufffe", "\r"]
    )
    | st.text(max_size=6),
    max_size=40,
).map(" ".join)


@settings(deadline=None)
@given(
    MARKUP.map(str.encode) | st.binary(max_size=200),
    st.sampled_from(
        ["application/pdf", "text/html", "text/markdown", "text/plain; charset=cp1251", None]
    ),
)
def test_any_data_becomes_tidy_text_or_a_reason(data: bytes, media_type: str | None) -> None:
    try:
        found = read(data, "x", media_type)
    except Unreadable:
        return
    assert found.text.strip()
    assert found.text == tidy(found.text)
    assert "\n\n\n" not in found.text
    assert not any(c in found.text for c in "\r\x00\x0b\u00a0\u200b\ufeff")


@given(st.text())
def test_tidying_twice_changes_nothing(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)
    assert scrub(scrub(text)) == scrub(text)
