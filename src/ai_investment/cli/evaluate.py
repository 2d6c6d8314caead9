"""Commands that measure the system by its production path: eval."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ai_investment.cli.client import data_option
from ai_investment.cli.environment import CannotRun, operator_settings

file_in = click.Path(exists=True, dir_okay=False, path_type=Path)
file_out = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group("eval")
def evaluate() -> None:
    """Measure retrieval and answers on collections of your own, by the production path."""


@evaluate.command("retrieval")
@click.option(
    "--corpus", type=file_in, required=True, help="JSON lines: _id, title, text (BEIR's form)."
)
@click.option(
    "--queries", type=file_in, required=True, help="JSON lines: _id, text and, if any, turns."
)
@click.option("--out", type=file_out, required=True, help="Lines: query id, document id, score.")
@click.option("--top-k", type=click.IntRange(1, 1000), default=100, show_default=True)
@data_option
def retrieval(corpus: Path, queries: Path, out: Path, top_k: int, folder: Path) -> int:
    """Rank a corpus for questions, in temporary stores that are removed afterwards."""
    from ai_investment.evaluation.retrieval import evaluate as run
    from ai_investment.evaluation.stores import CannotEvaluate

    cache = operator_settings(folder).model_cache
    try:
        asked = asyncio.run(
            run(corpus, queries, out, top_k=top_k, model_cache=cache, bar=progress_bar)
        )
    except (CannotEvaluate, OSError) as cause:
        raise CannotRun(str(cause)) from cause
    click.echo(f"{asked} questions ranked into {out}")
    return 0


@evaluate.command("answers")
@click.option(
    "--prompts",
    type=file_in,
    required=True,
    help="JSON lines: id, prompt and, if any, age_group (under_13, 13-15, 16-17, adult) and turns.",
)
@click.option(
    "--out",
    type=file_out,
    required=True,
    help="JSON lines: id, outcome, reason, text, citations, calculations, safety.",
)
@click.option(
    "--corpus", type=file_in, help="JSON lines: _id, title, text; left out: the starter library."
)
@data_option
def answers(prompts: Path, out: Path, corpus: Path | None, folder: Path) -> int:
    """Answer prompts as the service does without a model, in temporary stores removed afterwards."""
    from ai_investment.evaluation.answers import evaluate as run
    from ai_investment.evaluation.stores import CannotEvaluate

    cache = operator_settings(folder).model_cache
    try:
        asked = asyncio.run(run(prompts, out, corpus=corpus, model_cache=cache, bar=progress_bar))
    except (CannotEvaluate, OSError) as cause:
        raise CannotRun(str(cause)) from cause
    click.echo(f"{asked} prompts answered into {out}")
    return 0


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """On a terminal a moving bar, elsewhere a line now and then; both on standard error."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True) as moving:
            yield moving.update
        return
    done = told = 0

    def advance(by: int) -> None:
        nonlocal done, told
        done += by
        if done >= total or done - told >= total / 10:
            told = done
            click.echo(f"{label}: {done}/{total}", err=True)

    yield advance
