"""Where a command finds its settings and its server: the environment, else the embedded mode's folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ai_investment.settings import Settings, read_settings

DEFAULT_FOLDER = Path("data")
_ENVIRONMENT = "embedded.json"


class CannotRun(Exception):
    """A command cannot do its work; the text says why and what to do."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def write_environment(folder: Path, environment: dict[str, str]) -> None:
    """Keep what `up` decided, readable by its owner only: it holds secrets."""
    path = folder / _ENVIRONMENT
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(environment))
    partial.replace(path)


def read_environment(folder: Path) -> dict[str, str]:
    """What the last `up` in this folder decided; empty when there was none."""
    try:
        return msgspec.json.decode((folder / _ENVIRONMENT).read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}


def operator_settings(folder: Path = DEFAULT_FOLDER) -> Settings:
    """Settings for commands that work on the stores themselves."""
    embedded = (
        {}
        if "DATABASE_URL" in os.environ or "DATABASE_URL_FILE" in os.environ
        else read_environment(folder)
    )
    return read_settings({**embedded, **os.environ})


def server_url(folder: Path = DEFAULT_FOLDER) -> str:
    """The API to talk to: AI_INVESTMENT_URL, else the embedded one."""
    if url := os.environ.get("AI_INVESTMENT_URL"):
        return url.rstrip("/")
    embedded = read_environment(folder)
    if not embedded:
        raise CannotRun(
            f"nothing was started in {folder.resolve()}: run `ai-investment up`, "
            "or set AI_INVESTMENT_URL to a running server"
        )
    return f"http://{embedded['API_HOST']}:{embedded['API_PORT']}"
