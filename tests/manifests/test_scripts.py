"""Scripts of one host with Compose, run as they are: secrets that the product takes, a roll that never leaves Nginx without an API."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from ai_investment.settings import read_settings
from tests.manifests.render import ROOT

APIS = {"api-a", "api-b"}
WORKERS = ["answers", "embeddings", "pipeline", "delivery", "scheduler"]

# In place of `docker compose`, which cannot run here: it writes down whom Nginx asks now, and what is wanted of it.
COMPOSE = r"""#!/usr/bin/env bash
set -euo pipefail
{
  grep -oP '^server \K[^:]+(?=:8000 )' gitops/compose/upstream/api.conf | paste -sd ' '
  printf '%s\x1f' "$@"
  echo
} >>calls
[[ " $* " != *" exec -T ${SICK:-nobody} python "* ]]
"""


class Call(NamedTuple):
    words: list[str]
    servers: set[str]

    @property
    def service(self) -> str:
        return self.words[-1]


def test_secrets_are_made_once_and_are_those_that_compose_mounts(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        made = _run(["scripts/make-secrets", folder, "invest.example.org"])
        assert made.returncode == 0, made.stderr
        assert made.stderr == ""
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "secret_key").chmod(0o600)
    (folder / "secret_key").write_text("mine" * 10)
    assert _run(["scripts/make-secrets", folder]).returncode == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == contents | {"secret_key": b"mine" * 10}

    compose = yaml.safe_load((ROOT / "compose.prod.yaml").read_text())
    mounted = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert mounted == set(contents)
    environment = {
        key: str(folder / Path(value).name) if key.endswith("_FILE") else value
        for key, value in compose["services"]["api-a"]["environment"].items()
        if key != "LOG_LEVEL"
    }
    settings = read_settings(environment)
    assert settings.database_url.endswith("@postgres:5432/ai_investment")
    password = (folder / "redis.conf").read_text().split()[1]
    assert settings.redis_url == f"redis://:{password}@redis:6379/0"
    served = _run(["openssl", "x509", "-in", folder / "tls.crt", "-noout", "-ext", "subjectAltName"])  # fmt: skip
    assert "DNS:invest.example.org" in served.stdout


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name in ("compose.prod.yaml", "scripts/roll", "gitops/compose/upstream/api.conf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "compose").write_text(COMPOSE)
    (tmp_path / "compose").chmod(0o755)
    return tmp_path


def roll(host: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[Call]]:
    done = _run([host / "scripts" / "roll"], COMPOSE=str(host / "compose"), **environment)
    lines = (host / "calls").read_text().splitlines() if (host / "calls").exists() else []
    calls = []
    for servers, words in zip(lines[::2], lines[1::2], strict=True):
        assert words.startswith("-f\x1fcompose.prod.yaml\x1f")
        calls.append(Call(words.removesuffix("\x1f").split("\x1f")[2:], set(servers.split())))
    return done, calls


def test_a_roll_migrates_then_replaces_what_nginx_does_not_ask(host: Path) -> None:
    before = (host / "gitops/compose/upstream/api.conf").read_text()
    done, calls = roll(host, AI_INVESTMENT_IMAGE="registry.example/image@sha256:1")
    assert done.returncode == 0, done.stderr
    assert calls[0].words == ["run", "--rm", "migrate"]
    replaced = [number for number, call in enumerate(calls) if call.words[0] == "up"]
    assert [calls[number].service for number in replaced] == ["api-a", "api-b", *WORKERS]
    for number in replaced:
        service = calls[number].service
        assert calls[number].words == ["up", "-d", "--no-deps", "--force-recreate", service]
        assert calls[number].servers == APIS - {service}
        if service in APIS:
            assert calls[number - 1].words == ["exec", "-T", "nginx", "nginx", "-s", "reload"]
        # It is seen to be well before the next is taken.
        asked = calls[number + 1].words
        probe = "8000/health/ready" if service in APIS else "9090/health"
        assert asked[:4] == ["exec", "-T", service, "python"]
        assert f"http://127.0.0.1:{probe}" in asked[-1]
    assert (host / "gitops/compose/upstream/api.conf").read_text() == before


def test_a_roll_ends_where_a_new_api_is_not_ready_with_the_old_one_serving(host: Path) -> None:
    (host / "sleep").symlink_to(shutil.which("true") or "/bin/true")
    path = f"{host}:{os.environ['PATH']}"
    done, calls = roll(host, AI_INVESTMENT_IMAGE="image", SICK="api-a", PATH=path)
    assert done.returncode == 1
    assert "api-a is not healthy after 90 s" in done.stderr
    assert [call.service for call in calls if call.words[0] == "up"] == ["api-a"]
    assert calls[-1].servers == {"api-b"}


def test_a_roll_without_an_image_does_nothing(host: Path) -> None:
    done, calls = roll(host)
    assert done.returncode != 0
    assert "the image to roll to" in done.stderr
    assert calls == []


def _run(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    values = {**os.environ, **environment}
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=values, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
