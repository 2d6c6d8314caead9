"""Documents over HTTP: every kind of file in, passages with exact offsets out."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import httpx
import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.installation import Installation, asked, ingested

MARKDOWN = b"""---
title: Moonbase bonds
topic: bonds
level: beginner
---
A moonbase bond is a **loan** to a moonbase. It pays 4.25 percent a year.

## Risk

The moonbase may run out of air.
"""


def pdf(*lines: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for number, line in enumerate(lines):
        canvas.drawString(72, 720 - 20 * number, line)
    canvas.save()
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "media_type", "words"),
    [
        ("bond.md", MARKDOWN, "text/markdown", "A moonbase bond is a loan to a moonbase."),
        ("page.html", b"<html><head><title>Kites</title></head><body><nav>Home</nav><article><h1>Kites</h1>"
         b"<p>A kite fund buys kites and pays out the wind that they have caught over the whole year.</p>"
         b"<p>Its yearly fee is 0.30 percent, taken from the value of the fund each month.</p></article></body></html>",
         "text/html", "A kite fund buys kites"),
        ("paper.pdf", pdf("A paper share is a share made of paper.", "Its price is 3.50 dollars."), "application/pdf",
         "A paper share is a share made of paper."),
        ("note.txt", "A café bond is repaid in coffee — 2 cups a day.".encode(), "text/plain", "A café bond"),
    ],
)  # fmt: skip
def test_a_file_of_each_kind_becomes_passages_that_say_exactly_what_the_document_says(
    admin: httpx.Client, name: str, data: bytes, media_type: str, words: str
) -> None:
    job = ingested(admin, name, data, media_type, key=f"kinds:{name}")
    assert job["state"] == "succeeded", job
    assert job["kind"] == "content.index_document"
    assert job["result"]["passages"] >= 1
    document = admin.get(f"/api/v1/content/{job['result']['document_id']}").json()
    assert words in document["text"]
    assert document["state"] == "indexed"


def test_front_matter_and_headings_are_kept(admin: httpx.Client) -> None:
    job = ingested(admin, "bond.md", MARKDOWN + b"\nMore.", "text/markdown", key="front")
    document = admin.get(f"/api/v1/content/{job['result']['document_id']}").json()
    assert (document["title"], document["topic"], document["level"]) == (
        "Moonbase bonds",
        "bonds",
        "beginner",
    )
    [heading] = document["headings"]
    assert document["text"][heading["start"] :].startswith("Risk")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("broken.pdf", pdf("Hello")[:200], "PDF"),
        ("zeros.pdf", b"\x00" * 500, "zeros.pdf"),
        ("noise.txt", bytes(range(256)) * 8, "noise.txt"),
        ("blank.md", b"   \n\n  ", "blank.md"),
    ],
)
def test_a_file_that_cannot_be_read_fails_with_its_reason_and_leaves_nothing_behind(
    admin: httpx.Client, api: httpx.Client, name: str, data: bytes, words: str
) -> None:
    response = admin.post(
        "/api/v1/content/documents",
        files={"file": (name, data, "application/octet-stream")},
        data={"key": name},
    )
    job = admin.get(response.json()["job"]["links"]["self"], params={"wait": 20}).json()
    assert job["state"] == "failed"
    assert job["error"]["status"] == 422
    assert words in job["error"]["detail"]
    document = admin.get(f"/api/v1/content/{response.json()['document_id']}").json()
    assert (document["state"], document["text"]) == ("failed", None)


def test_sending_the_same_bytes_again_changes_nothing(admin: httpx.Client) -> None:
    first = ingested(admin, "same.md", b"A same bond stays the same.", "text/markdown", key="same")
    again = admin.post(
        "/api/v1/content/documents",
        files={"file": ("same.md", b"A same bond stays the same.", "text/markdown")},
        data={"key": "same"},
    )
    assert (again.status_code, again.json()["job"]) == (200, None)
    assert again.json()["document_id"] == first["result"]["document_id"]


def test_a_replaced_document_is_quoted_in_its_new_words_only(
    admin: httpx.Client, api: httpx.Client
) -> None:
    ingested(
        admin, "rate.md", b"The Quokka savings rate is 4.25 percent.", "text/markdown", key="rate"
    )
    assert "4.25" in asked(api, "What is the Quokka savings rate?")["result"]["text"]
    ingested(
        admin, "rate.md", b"The Quokka savings rate is 4.50 percent.", "text/markdown", key="rate"
    )
    answer = asked(api, "What is the Quokka savings rate?")["result"]
    assert "4.50" in answer["text"]
    assert "4.25" not in answer["text"]


def test_an_old_citation_still_opens_the_words_it_cited_and_says_that_they_have_changed(
    admin: httpx.Client, api: httpx.Client
) -> None:
    ingested(admin, "old.md", b"The Numbat rate is 1.25 percent.", "text/markdown", key="old")
    [citation] = asked(api, "What is the Numbat rate?")["result"]["citations"]
    ingested(admin, "old.md", b"The Numbat rate is 9.75 percent.", "text/markdown", key="old")
    passage = api.get(f"/api/v1/content/passages/{citation['passage_id']}").json()
    opened = passage["text"][citation["start"] : citation["end"]]
    assert opened == citation["quote"]
    assert hashlib.sha256(opened.encode()).hexdigest() == citation["quote_hash"]
    assert passage["version"] == citation["version"] == 1
    assert passage["current"] is False
    [newer] = asked(api, "What is the Numbat rate?")["result"]["citations"]
    passage = api.get(f"/api/v1/content/passages/{newer['passage_id']}").json()
    assert (passage["version"], newer["version"], passage["current"]) == (2, 2, True)


def test_only_an_operator_may_add_or_delete_documents(api: httpx.Client) -> None:
    sent = api.post("/api/v1/content/documents", json={"title": "A", "text": "B"})
    assert sent.status_code == 403
    assert api.delete("/api/v1/content/documents/doc_1").status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": "A"}, "#"),
        ({"title": "A", "text": ""}, "#"),
        ({"title": "A", "text": "B", "url": "javascript:alert(1)"}, "#"),
        ({"title": "A", "text": "B", "owner": "me"}, "#"),
    ],
)
def test_a_malformed_document_is_a_clear_problem(
    admin: httpx.Client, body: dict[str, str], pointer: str
) -> None:
    response = admin.post("/api/v1/content/documents", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"].startswith(pointer)


def test_a_form_without_a_file_and_an_empty_file_are_clear_problems(admin: httpx.Client) -> None:
    empty = admin.post("/api/v1/content/documents", files={"file": ("a.md", b"", "text/markdown")})
    none = admin.post("/api/v1/content/documents", files={"other": ("a.md", b"x", "text/markdown")})
    assert (empty.status_code, none.status_code) == (422, 422)
    assert empty.json()["errors"][0]["pointer"] == "#/file"


def test_a_file_over_the_limit_is_refused_before_it_is_stored(admin: httpx.Client) -> None:
    response = admin.post(
        "/api/v1/content/documents",
        files={"file": ("big.txt", b"a" * (26 * 1024 * 1024), "text/plain")},
    )
    assert response.status_code == 413


def test_the_command_line_ingests_a_folder_and_says_what_became_of_each_file(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "good.md").write_text("A good note says that a good bond is good.")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 but then nothing")
    (tmp_path / "ignored.bin").write_bytes(b"\x00")
    environment = {
        "AI_INVESTMENT_URL": installation.url,
        "AI_INVESTMENT_API_KEY": installation.key("admin"),
    }
    first = installation.cli("ingest", str(tmp_path), check=False, env=environment)
    second = installation.cli("ingest", str(tmp_path / "sub"), "--json", env=environment)
    nothing = installation.cli(
        "ingest", str(tmp_path / "ignored.bin"), check=False, env=environment
    )
    assert first.returncode == 1
    assert "added" in first.stdout
    assert "failed" in first.stdout
    assert '"unchanged"' in second.stdout
    assert nothing.returncode == 1
