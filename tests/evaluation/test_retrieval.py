"""`eval retrieval` as a user runs it: files in BEIR's form in, a run out, nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_investment.cli import main
from tests.installation import PROGRAM, clean_environment

Evaluate = Callable[..., subprocess.CompletedProcess[str]]
CORPUS: list[dict[str, object]] = [
    {"_id": "bond", "title": "Bonds", "text": "A bond is a loan to a company or a state."},
    {"_id": "etf", "title": "", "text": "An ETF is a fund that is traded on an exchange."},
    {"_id": "fee", "text": "The custody fee of the Nordwind depot is 7.77 EUR per quarter."},
    {"_id": "long", "text": "Nothing of interest stands here. " * 400 + "The wombat eats grass."},
    {"_id": "empty", "text": ""},
]


def lines(path: Path, items: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(item) for item in items) + "\n\n")
    return path


@pytest.fixture
def run(tmp_path: Path, models: Path) -> Evaluate:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(models)

    def options(corpus: Path, queries: Path) -> list[str]:
        named = {
            "corpus": corpus,
            "queries": queries,
            "out": tmp_path / "run.tsv",
            "data": tmp_path / "data",
        }
        return [word for name, path in named.items() for word in (f"--{name}", str(path))]

    def evaluate(corpus: Path, queries: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, "eval", "retrieval", *options(corpus, queries), *more],
            env=clean_environment({}),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return evaluate


def test_each_question_gets_its_documents_best_first_and_nothing_is_left_behind(
    run: Evaluate, tmp_path: Path
) -> None:
    questions: list[dict[str, object]] = [
        {"_id": "q1", "text": "What is the custody fee?"},
        {"_id": "q2", "text": "What does a wombat eat?"},
        {"_id": "q3", "text": "Is it traded?", "turns": [["user", "What is an ETF?"], ["agent", "A fund."]]},
    ]  # fmt: skip
    before = set(Path(tempfile.gettempdir()).glob("ai-investment-eval-*"))
    done = run(
        lines(tmp_path / "c.jsonl", CORPUS), lines(tmp_path / "q.jsonl", questions), "--top-k", "3"
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[tuple[str, float]]] = {}
    for line in (tmp_path / "run.tsv").read_text().splitlines():
        query, document, score = line.split("\t")
        found.setdefault(query, []).append((document, float(score)))
    assert [items[0][0] for items in found.values()] == ["fee", "long", "etf"]
    for items in found.values():
        assert len(items) == len({document for document, _ in items}) == 3
        assert [score for _, score in items] == sorted((s for _, s in items), reverse=True)
    assert "Asking: 3/3" in done.stderr
    assert set(Path(tempfile.gettempdir()).glob("ai-investment-eval-*")) <= before


# Alive, as far as its heartbeat tells, and of no use.
_BROKEN_CHROMA = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path.endswith("heartbeat") else 503)
        self.end_headers()
    do_POST = do_GET
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_vector_store_that_does_not_answer_ends_it_with_one_line(
    tmp_path: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def broken(folder: Path, port: int) -> list[str]:
        return [sys.executable, "-c", _BROKEN_CHROMA, str(port)]

    monkeypatch.setattr("ai_investment.evaluation.stores.chroma_command", broken)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(models)
    files = {
        "corpus": lines(tmp_path / "c.jsonl", CORPUS),
        "queries": lines(tmp_path / "q.jsonl", [{"_id": "q", "text": "What is a bond?"}]),
        "out": tmp_path / "run.tsv",
        "data": tmp_path / "data",
    }
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["ai-investment", "eval", "retrieval", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("ai-investment: the Chroma server does not answer")
    assert not [line for line in said if "Traceback" in line]
    assert not (tmp_path / "run.tsv").exists()


def test_a_line_of_another_form_is_named(run: Evaluate, tmp_path: Path) -> None:
    broken = tmp_path / "c.jsonl"
    broken.write_text('{"_id": "a", "text": "b"}\n{"_id": 7}\n')
    done = run(broken, lines(tmp_path / "q.jsonl", [{"_id": "q", "text": "b"}]))
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run.tsv").exists()
