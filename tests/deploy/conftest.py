"""Deployment: the files that hosts get, rendered once for all tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INVENTORIES = ROOT / "ansible" / "inventories"

# `just test-deploy` runs these: they boot real systemd hosts.
collect_ignore = [] if os.environ.get("DEPLOY_BENCH") else ["live"]


def start(name: str, *arguments: str) -> subprocess.Popen[str]:
    """Start one of Ansible's programs, from an environment of their own."""
    environment = {
        **os.environ,
        "UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv-ansible"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",  # Ansible runs in UTF-8 only
    }
    command = ["uv", "run", "--quiet", "--frozen", "--only-group", "ansible", name, *arguments]
    return subprocess.Popen(
        command, cwd=ROOT / "ansible", env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture(scope="session")
def lint() -> Iterator[subprocess.Popen[str]]:
    """Half a minute of processor: it runs beside the other tests."""
    with start("ansible-lint", "--profile", "production") as process:
        yield process
        process.kill()


def render(inventory: str, target: Path) -> dict[str, str]:
    """The text of every template for the first host of an example, by ROLE/NAME."""
    names = ("secret_key", "jwt_secret_key", "postgresql_password", "redis_password",
             "redis_backup_password", "restic_password")  # fmt: skip
    secrets = {f"vault_{name}": f"{name.replace('_', '')}{'0' * 40}" for name in names}
    playing = start(
        "ansible-playbook", "--inventory", str(INVENTORIES / inventory), "--limit", "api[0]",
        "--extra-vars", json.dumps({**secrets, "rendered": str(target)}), "render.yml",
    )  # fmt: skip
    said, _ = playing.communicate()
    assert playing.returncode == 0, said[-3000:]
    texts: dict[str, str] = json.loads(target.read_text())
    return texts


@pytest.fixture(scope="session")
def one_host(
    tmp_path_factory: pytest.TempPathFactory, lint: subprocess.Popen[str]
) -> dict[str, str]:
    """What the host of the example with one host gets."""
    return render("example-one", tmp_path_factory.mktemp("rendered") / "one.json")


@pytest.fixture(scope="session")
def edge_of_several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the first edge of the example with several hosts gets."""
    return render("example-several", tmp_path_factory.mktemp("rendered") / "several.json")
