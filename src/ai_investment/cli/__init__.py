"""The command line: parse, call one function, print. Exit codes: 0 done, 1 failed, 2 cannot be asked like that."""

from __future__ import annotations

import sys
from typing import Any

import click

from ai_investment.cli.calculate import calc
from ai_investment.cli.client import ask, ingest, jobs
from ai_investment.cli.environment import CannotRun
from ai_investment.cli.evaluate import evaluate
from ai_investment.cli.index import index
from ai_investment.cli.operate import db, doctor, keys, openapi
from ai_investment.cli.serve import serve, up, worker
from ai_investment.cli.sources import sources
from ai_investment.errors import Problem
from ai_investment.settings import InvalidSettings
from ai_investment.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION)
def cli() -> None:
    """Backend for investing-education and research assistants.

    Start with `ai-investment up`, then `ai-investment ask "What is an ETF?"`.
    """


for command in (
    up, ask, calc, ingest, sources, index, jobs, keys, db, doctor, serve, worker, openapi, evaluate
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """The entry point: every foreseen failure is one readable line, never a traceback."""
    try:
        code: Any = cli.main(standalone_mode=False)
    except click.ClickException as cause:
        cause.show()
        sys.exit(cause.exit_code)
    except click.Abort:
        sys.exit(130)
    except InvalidSettings as cause:
        _say(f"invalid settings: {cause}")
        sys.exit(2)
    except CannotRun as cause:
        _say(str(cause))
        sys.exit(cause.code)
    except Problem as cause:
        _say(cause.detail)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str) -> None:
    click.echo(f"ai-investment: {text}", err=True)
