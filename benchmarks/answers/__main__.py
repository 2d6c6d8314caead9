"""`python -m benchmarks.answers`: how long an answer takes over a real installation on this machine."""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import httpx

from tests.doubles.openai_server import DONE, Reply, chunk, usage_chunk
from tests.doubles.threaded import Model, model_server
from tests.installation import WORKERS, Installation, asked, ingested
from tests.services import ChromaServer, RedisServer

_QUESTIONS = """What is an ETF?|How do I spot a scam?|Why do share prices fall?|What is a bond and how does it pay interest?
whats a dividend|How does compound interest work?|Is crypto safe?|difference between a fund and an etf|How do I make a budget?
What is inflation and why does it matter?|What happens in a recession?|How much do fees matter?|What is diversification?
What is a P/E ratio?|What does a stock exchange do?|Do I pay taxes on dividends?|How to open a brokerage account
What is an index fund?|What should I do if I was scammed?|How do I get out of debt?|What is volatility?|what's a bear market
How is a return measured?|what is a limit order|Who sets interest rates?|What is rebalancing?|What moves share prices?
what is a bid and ask|is a bond safer than a share|What is the rule of 72?"""  # fmt: skip
_LIBRARY = Path(__file__).parents[2] / "src/ai_investment/content/library"
_PASSAGES_A_DOCUMENT = 100
_SENTENCE = "An ETF is a fund that is traded on a stock exchange."


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--passages", type=click.IntRange(200), default=5000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def main(path: Path | None, passages: int, rounds: int) -> None:
    """Quotations from accepted to done, the worker's memory, and the first sentence of a stream."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-answers-") as name,
        _installed(Path(name)) as (
            installation,
            model,
        ),
    ):
        key = installation.key("admin")
        with installation.client(key) as client:
            _fill(client, passages)
            figures = {"passages": passages, **_quotations(client, rounds), **_memory(installation)}
            installation.processes["answers"].kill()
            installation.env["OPENAI_API_KEY"] = "sk-bench"
            installation.env["OPENAI_BASE_URL"] = model.server.base_url
            installation.start("answers")
            figures |= _streamed(client, model)
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        click.echo(f"{name:32} {value}")


@contextmanager
def _installed(folder: Path) -> Iterator[tuple[Installation, Model]]:
    redis, chroma = RedisServer(folder), ChromaServer(folder)
    (folder / "data").mkdir()
    env = {
        "DATABASE_URL": f"sqlite:///{folder / 'bench.db'}",
        "REDIS_URL": redis.url,
        "CHROMA_URL": chroma.url,
        "AI_INVESTMENT_DATA_DIRECTORY": str(folder / "data"),
        "SECRET_KEY": "a-secret-for-benchmarks-that-is-long",
        "JWT_SECRET_KEY": "another-secret-for-benchmarks-long",
    }
    with model_server(Reply([DONE])) as model:
        installation = Installation(folder, env)
        try:
            installation.cli("db", "upgrade")
            installation.start("api", *WORKERS)
            yield installation, model
        finally:
            installation.stop()
            chroma.process.kill()
            redis.process.kill()


def _fill(client: httpx.Client, passages: int) -> None:
    """The starter library, and documents of other words until there are as many passages."""
    count = 0
    for article in sorted(_LIBRARY.glob("*.md")):
        job = ingested(
            client,
            article.name,
            article.read_bytes(),
            "text/markdown",
            key=f"library:{article.stem}",
        )
        count += job["result"]["passages"]
    words = itertools.cycle(
        [
            "river",
            "stone",
            "lantern",
            "harbour",
            "violin",
            "meadow",
            "copper",
            "winter",
            "orchard",
            "saddle",
        ]
    )
    while count < passages:
        sections = [
            f"## Note {count} {number}\n\n"
            + " ".join(f"The {next(words)} {n} stands near the {next(words)}." for n in range(14))
            for number in range(_PASSAGES_A_DOCUMENT)
        ]
        text = f"# Notes {count}\n\n" + "\n\n".join(sections)
        job = ingested(client, f"notes-{count}.md", text.encode(), "text/markdown")
        count += job["result"]["passages"]


def _quotations(client: httpx.Client, rounds: int) -> dict[str, Any]:
    questions = [item for line in _QUESTIONS.splitlines() for item in line.split("|")]
    asked(client, questions[0])
    jobs = [asked(client, question) for _ in range(rounds) for question in questions]
    taken = sorted(_milliseconds(job) for job in jobs)
    answered = sum(job["result"]["outcome"] == "answered" for job in jobs)
    return {
        "questions": len(jobs),
        "answered": answered,
        "accepted_to_done_p50_ms": round(statistics.median(taken)),
        "accepted_to_done_p95_ms": round(taken[int(len(taken) * 0.95)]),
    }


def _milliseconds(job: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at"))
    return (end - start).total_seconds() * 1000


def _memory(installation: Installation) -> dict[str, Any]:
    status = Path(f"/proc/{installation.processes['answers'].popen.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return {"answers_worker_rss_mb": round(int(kilobytes) / 1000)}


def _streamed(client: httpx.Client, model: Model, repeats: int = 15) -> dict[str, Any]:
    """From the chunk that ends a sentence of the model to the delta that a reader of the stream gets."""
    lead, rest = _written()
    taken = []
    for _ in range(repeats):
        model.answer_with(
            Reply(
                [
                    chunk(lead),
                    model.gate(),
                    chunk(rest),
                    0.3,
                    chunk("]}"),
                    chunk(finish="stop"),
                    usage_chunk(9, 9),
                    DONE,
                ]
            )
        )
        job = client.post("/api/v1/chat/messages", json={"message": "What is an ETF?"}).json()[
            "job"
        ]
        arrived: list[float] = []
        reading = threading.Thread(target=_read_delta, args=(client, job["id"], arrived))
        reading.start()
        model.called(1)
        time.sleep(0.5)
        sent = time.monotonic()
        model.open_gate()
        reading.join(20)
        taken.append((arrived[0] - sent) * 1000)
    taken.sort()
    return {
        "first_sentence_p50_ms": round(statistics.median(taken), 1),
        "first_sentence_max_ms": round(taken[-1], 1),
    }


def _written() -> tuple[str, str]:
    statement = {
        "citations": [{"passage": n, "quote": _SENTENCE} for n in range(1, 9)],
        "calculated": False,
        "text": _SENTENCE,
    }
    text = json.dumps({"answerable": True, "statements": [statement]})[:-2]
    return text[:-30], text[-30:]


def _read_delta(client: httpx.Client, job_id: str, arrived: list[float]) -> None:
    with client.stream("GET", f"/api/v1/jobs/{job_id}/events") as events:
        for line in events.iter_lines():
            if line.startswith("event: delta"):
                arrived.append(time.monotonic())
                return


if __name__ == "__main__":
    main()
