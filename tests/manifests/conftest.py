"""Linters of others take seconds of processor each: they run beside the other tests, which come first."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.manifests.render import GITOPS, ROOT, run

Linted = dict[str, "Future[subprocess.CompletedProcess[str]]"]


def scripts() -> list[Path]:
    return [
        path for folder in ("scripts", "gitops/cloud") for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash")
    ]  # fmt: skip


LINTERS: dict[str, tuple[str | Path, ...]] = {
    # W3002: `deploy` packages the nested template.
    "cfn-lint": ("cfn-lint", "--ignore-checks", "W3002", "--", *sorted((GITOPS / "cloud/aws").glob("*.yaml"))),
    "actionlint": ("actionlint", *sorted((ROOT / ".github/workflows").glob("*.yml"))),
    "gitlab-ci": ("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", ".gitlab-ci.yml"),
    "compose": ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml", "compose.prod.yaml"),
    "hadolint": ("hadolint", "Containerfile"),
    "shellcheck": ("shellcheck", *scripts()),
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def linted(request: pytest.FixtureRequest) -> Iterator[Linted]:
    """What each linter says, to come; nothing runs when no collected test asks for it."""
    wanted = any(Path(item.path).name == "test_with_linters.py" for item in request.session.items)
    with ThreadPoolExecutor(1) as pool:
        yield {
            name: pool.submit(run, *map(str, words)) for name, words in LINTERS.items() if wanted
        }
        pool.shutdown(cancel_futures=True)
