"""Manifests as objects: what `kubectl kustomize` renders, offline."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
GITOPS = ROOT / "gitops"
ENVIRONMENTS = ("development", "staging", "production")
Object = dict[str, Any]


def tool(name: str) -> str:
    """A program of the dependency group `deploy`."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is missing: run `uv run just test`, or `uv run --group deploy pytest`"
    return found


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool in the repository's folder."""
    command = [tool(name), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=110
    )


@cache
def rendered(folder: Path) -> str:
    done = run("kubectl", "kustomize", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(folder: Path) -> list[Object]:
    """The objects of a kustomization, in the order in which kubectl applies them."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [item for item in yaml.load_all(rendered(folder), Loader=loader) if item]


def environment(name: str) -> list[Object]:
    return objects(GITOPS / "apps" / name)
