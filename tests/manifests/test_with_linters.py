"""What linters of others say of our files; conftest.py starts them."""

from __future__ import annotations

import pytest

from tests.manifests.conftest import LINTERS, Linted, scripts
from tests.manifests.render import ROOT


@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_finds_nothing(name: str, linted: Linted) -> None:
    done = linted[name].result()
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_linted_is_all_there_is() -> None:
    assert {path.name for path in scripts()} >= {"deploy", "setup", "roll", "promote", "make-secrets"}  # fmt: skip
    assert len(LINTERS["cfn-lint"]) == 6
    assert (ROOT / ".github/workflows/delivery.yml") in LINTERS["actionlint"]
