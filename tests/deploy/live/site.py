"""An installation on machines of the bench, worked on with the recipes that an operator uses."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.conftest import ROOT
from tests.deploy.live.machine import Machine, run

DOMAIN = "invest.test"


def play(folder: Path, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook as the recipes do."""
    return subprocess.run(
        [ROOT / "scripts" / "on-hosts", folder, playbook, *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip


def changes(done: subprocess.CompletedProcess[str]) -> int:
    """What the recap counts as changed, over all hosts."""
    return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


def tasks_changed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Names of tasks that changed something: for the message of a failed test."""
    found, task = [], ""
    for line in done.stdout.splitlines():
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            task = line.split("[", 1)[1].split("]")[0]
        elif line.startswith("changed:"):
            found.append(task)
    return found


class Site:
    """One inventory with its secrets: one host with everything, and hosts that are edges only.

    `settings` may change between deployments.
    """

    def __init__(
        self,
        folder: Path,
        machine: Machine,
        settings: dict[str, Any],
        more_edges: Sequence[Machine] = (),
    ) -> None:
        self.folder, self.machine, self.settings = folder, machine, dict(settings)
        self.edges = [machine, *more_edges]
        folder.mkdir(exist_ok=True)
        self.write()
        if not (folder / "group_vars" / "all" / "vault.yml").exists():
            run(ROOT / "scripts" / "new-secrets", folder)

    def write(self) -> None:
        """The inventory as it is now. JSON is YAML."""
        settings = {
            "ansible_user": "root",
            "domain": DOMAIN,
            "admin_email": f"admin@{DOMAIN}",
            "tls_source": "selfsigned",
            "install_environment": {"UV_CACHE_DIR": "/var/cache/uv"},
            **self.settings,
        }
        hosts = {
            edge.name: {
                "ansible_host": edge.address,
                "ansible_ssh_common_args": " ".join(edge.ssh_options()),
                "address": edge.address,
                **settings,
            }
            for edge in self.edges
        }
        name = self.machine.name
        groups: dict[str, Any] = {
            group: {"hosts": {name: {}}} for group in ("workers", "data", "monitoring")
        }
        groups["api"] = {"hosts": {edge.name: {} for edge in self.edges}}
        inventory = {"all": {"hosts": hosts, "children": groups}}
        (self.folder / "hosts.yml").write_text(json.dumps(inventory, indent=1))

    def deploy(self, release: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.write()
        folder = ROOT / "dist" / "releases" / release
        return play(
            self.folder, "site.yml", "-e", f"app_release={release}", "-e", f"release_folder={folder}",
            *arguments,
        )  # fmt: skip

    def serving(self) -> tuple[str, str]:
        """The slot and the release that serve."""
        shown = self.machine.ssh(
            'slot=$(cat /etc/ai-investment/active); echo $slot; basename $(readlink "/opt/ai-investment/slots/$slot")'
        )
        slot, release = shown.stdout.split()
        return slot, release

    def key(self, name: str, role: str = "user") -> str:
        return self.machine.ssh(f"ai-investment keys create {name} --role {role}").stdout.strip()


def built() -> str:
    """The release of this source."""
    return run(ROOT / "scripts" / "release").stdout.strip()


def variant(release: str, name: str, text: str) -> str:
    """A release that differs from another in one file of the package."""
    source = ROOT / "dist" / "releases" / release
    partial = source.with_name(".variant")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    wheel = next(partial.glob("*.whl"))
    with zipfile.ZipFile(next(source.glob("*.whl"))) as old, zipfile.ZipFile(wheel, "w") as new:
        for item in old.infolist():
            if item.filename != name:
                new.writestr(item, old.read(item))
        new.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    digest = hashlib.sha256(wheel.read_bytes() + (partial / "requirements.txt").read_bytes())
    made = f"{release.rsplit('-', 1)[0]}-{digest.hexdigest()[:12]}"
    target = source.with_name(made)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return made


def curl(machine: Machine, path: str, *options: str) -> subprocess.CompletedProcess[str]:
    where = f"{DOMAIN}:443:{machine.address}"
    return subprocess.run(
        ["curl", "-sk", "--max-time", "30", "--noproxy", "*", "--resolve", where, *options, f"https://{DOMAIN}{path}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def client(machine: Machine, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"https://{machine.address}", verify=False, timeout=60, trust_env=False,
        headers={"Host": DOMAIN, "X-API-Key": key},
    )  # fmt: skip


def call(api: httpx.Client, method: str, path: str, **more: Any) -> Any:
    response = api.request(method, path, extensions={"sni_hostname": DOMAIN}, **more)
    assert response.is_success, response.text
    return response.json()


def open_ports(machine: Machine) -> set[str]:
    """Which of all TCP ports answer to this computer, which is in another network namespace."""
    scan = run(
        "nmap", "-Pn", "-n", "-p-", "--min-rate", "4000", "--max-retries", "2", machine.address
    )
    return set(re.findall(r"^(\d+)/tcp\s+open", scan.stdout, re.M))
