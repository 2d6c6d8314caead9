"""What the roles hold to, without a host: lint, shell, settings, alerts, addresses."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ai_investment.jobs.worker import DRAIN_SECONDS
from ai_investment.settings import read_settings
from tests.deploy.conftest import ROOT

# Ansible and its lint take half a minute of processor, which a busy machine may not have at once.
pytestmark = pytest.mark.timeout(600)


def test_shell_of_hosts_and_of_recipes_is_clean(one_host: dict[str, str], tmp_path: Path) -> None:
    paths = [ROOT / "scripts" / name for name in ("release", "on-hosts", "new-secrets", "setup", "setup-deploy")]  # fmt: skip
    paths.append(ROOT / "ansible" / "files" / "status")
    for name, text in one_host.items():
        if re.match(r"#!/bin/(ba)?sh|# shellcheck shell", text):
            paths.append(tmp_path / name.replace("/", "."))
            paths[-1].write_text(text)
    assert len(paths) > 14
    done = subprocess.run(["shellcheck", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_setting_and_secret_of_a_unit_is_one_that_the_application_knows(
    one_host: dict[str, str], tmp_path: Path
) -> None:
    environment = dict(
        line.split("=", 1)
        for line in one_host["app/environment"].splitlines()
        if line and not line.startswith("#")
    )
    secrets = dict(re.findall(r"LoadCredential=(\w+):(\S+)", one_host["app/api.service"]))
    assert set(secrets) >= {"SECRET_KEY", "JWT_SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    values = {
        "DATABASE_URL": "postgresql://a:b@127.0.0.1/c", "REDIS_URL": "redis://127.0.0.1:6379/0",
    }  # fmt: skip
    for name in secrets:
        (tmp_path / name).write_text(values.get(name, f"{name.lower():x<40}"))
        environment[f"{name}_FILE"] = str(tmp_path / name)
        assert f"Environment={name}_FILE=%d/{name}" in one_host["app/worker.service"]
    settings = read_settings(environment)
    assert settings.production
    assert settings.secret_key.startswith("secret_key")


def test_no_secret_stands_in_a_file_that_others_read(one_host: dict[str, str]) -> None:
    private = {"backup/environment"}
    for name, text in one_host.items():
        assert name in private or not re.search(r"(key|password)0{20}", text), name


def test_processes_get_the_time_to_drain_that_they_take(one_host: dict[str, str]) -> None:
    for unit in ("app/api.service", "app/worker.service"):
        stop = int(re.findall(r"TimeoutStopSec=(\d+)", one_host[unit])[0])
        assert stop > max(45, DRAIN_SECONDS)  # Granian's own limit; the workers'


def test_only_nginx_listens_on_all_addresses_and_only_on_80_and_443(
    one_host: dict[str, str],
) -> None:
    listens = re.findall(r"^\s+listen (\S+)", one_host["nginx/nginx.conf"], re.M)
    public = {word.rstrip(";") for word in listens if not word.startswith("127.0.0.1:")}
    assert public == {"80", "[::]:80", "443", "[::]:443"}
    for name, text in one_host.items():
        if name != "nginx/nginx.conf":
            assert not re.search(r"0\.0\.0\.0|\[::\]|listen_addresses = '\*'", text), name
    assert "API_HOST=127.0.0.1" in one_host["app/environment"]
    assert "--host 127.0.0.1" in one_host["chroma/chroma.service"]
    assert "bind 127.0.0.1\n" in one_host["redis/redis.conf"]
    assert "listen_addresses = '127.0.0.1'" in one_host["postgresql/settings.conf"]


def test_hosts_meet_on_their_private_addresses(edge_of_several: dict[str, str]) -> None:
    assert "CHROMA_URL=http://10.0.0.31:8001" in edge_of_several["app/environment"]
    assert "server 10.0.0.12:8100" in edge_of_several["app/upstream.conf"]
    assert "listen 10.0.0.11:8100;" in edge_of_several["nginx/nginx.conf"]
    # A host meets itself there too: Prometheus reads the API beside it, processes their own stores.
    for address in ("127.0.0.1", "10.0.0.11", "10.0.0.12"):
        assert f"allow {address};" in edge_of_several["nginx/nginx.conf"]
        assert (
            f"ai_investment {address}/32 scram-sha-256" in edge_of_several["postgresql/pg_hba.conf"]
        )
    for peer in ("10.0.0.11:8100", "10.0.0.12:8100", "10.0.0.31:9100"):
        assert peer in edge_of_several["monitoring/prometheus.yml"]


def test_alert_rules_are_valid_and_fire_when_they_should(
    one_host: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(one_host["monitoring/rules.yml"])
    tests = tmp_path / "tests.yml"
    tests.write_text((Path(__file__).parent / "alerts.yml").read_text())
    for command in (["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    rules = {
        rule["alert"]
        for group in yaml.safe_load(one_host["monitoring/rules.yml"])["groups"]
        for rule in group["rules"]
    }
    tested = {
        case["alertname"]
        for group in yaml.safe_load(tests.read_text())["tests"]
        for case in group["alert_rule_test"]
    }
    assert tested == rules


def test_every_metric_of_an_alert_is_one_that_somebody_writes(one_host: dict[str, str]) -> None:
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    scripts = "".join(text for name, text in one_host.items() if name != "monitoring/rules.yml")
    words = set()
    for group in yaml.safe_load(one_host["monitoring/rules.yml"])["groups"]:
        for rule in group["rules"]:
            words |= set(re.findall(r"\b((?:http|jobs|ai_investment)_\w+)", rule["expr"]))
    assert len(words) > 8
    for word in words:
        ours = re.sub(r"_bucket$", "", word)
        assert f'"{ours}"' in source or f"{ours} " in scripts, word


def test_deploying_where_no_inventory_is_says_which_there_are() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "on-hosts", "nowhere", "site.yml"],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 2
    assert "example-one" in done.stderr


def test_ansible_lint_has_nothing_to_say_at_its_strictest_profile(
    lint: subprocess.Popen[str],
) -> None:
    said, _ = lint.communicate()
    assert lint.returncode == 0, said
    assert re.search(r"Passed.*0 failure.*'production'", said), said
