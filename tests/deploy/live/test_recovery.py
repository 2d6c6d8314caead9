"""Backup, loss of the host, restore on another one; backups that are not whole."""

from __future__ import annotations

import re
import time

import pytest

from tests.deploy.live.conftest import Bench
from tests.deploy.live.machine import CACHE, Machine
from tests.deploy.live.site import Site, call, client, play

pytestmark = pytest.mark.timeout(3600)


def rows(machine: Machine) -> list[str]:
    """Count and checksum of the tables that hold the library; nothing writes to them meanwhile."""
    shown = machine.ssh(
        "bash -c 'source /usr/local/lib/ai-investment/stores.sh; rows ai_investment'"
    ).stdout
    return [line for line in shown.splitlines() if re.match("documents|passages|document_", line)]


def vectors(machine: Machine) -> str:
    """A checksum of every vector with its id."""
    program = (
        "import chromadb, hashlib; c = chromadb.HttpClient(port=8001); h = hashlib.sha256(); n = 0\n"
        "for k in sorted(c.list_collections(), key=lambda k: k.name):\n"
        "  g = k.get(include=['embeddings'])\n"
        "  for i, e in sorted(zip(g['ids'], g['embeddings']), key=lambda p: p[0]): h.update(i.encode() + e.tobytes()); n += 1\n"
        "print(n, h.hexdigest())"
    )
    return machine.ssh(f'/opt/ai-investment/current/venv/bin/python -c "{program}"').stdout


def files(machine: Machine) -> str:
    return machine.ssh(
        "cd /var/lib/ai-investment/objects && find . -type f | sort | xargs sha256sum | sha256sum; find /var/lib/ai-investment/objects -type f | wc -l"
    ).stdout


def metric(machine: Machine, name: str) -> float:
    shown = machine.ssh(f"curl -s http://127.0.0.1:9100/metrics | grep '^{name} '").stdout
    return float(shown.split()[1])


def test_a_lost_host_comes_back_from_its_backup_on_another_one(bench: Bench) -> None:
    site, machine = bench.site, bench.site.machine
    done = site.deploy(bench.release)
    assert done.returncode == 0, done.stdout[-6000:]
    backed = play(site.folder, "backup.yml")
    assert backed.returncode == 0, backed.stdout[-6000:]
    assert metric(machine, "ai_investment_backup_success") == 1
    drill = play(site.folder, "drill.yml")
    assert drill.returncode == 0, drill.stdout[-6000:]
    assert "each as it was" in drill.stdout
    assert "drill passed" in drill.stdout
    before = rows(machine), vectors(machine), files(machine)
    assert len(before[0]) > 1
    assert int(before[1].split()[0]) > 50

    machine.stop()
    fresh = Machine("invest-2", 2)
    fresh.create()
    started = time.monotonic()
    fresh.start()
    try:
        again = Site(CACHE / "machines" / "inventory", fresh, site.settings)
        deployed = again.deploy(bench.release)
        assert deployed.returncode == 0, deployed.stdout[-6000:]
        prepared = time.monotonic()
        restored = play(again.folder, "restore.yml", "-e", "snapshot=latest")
        assert restored.returncode == 0, restored.stdout[-6000:]
        print(
            f"prepared in {prepared - started:.0f} s, restored in {time.monotonic() - prepared:.0f} s"
        )
        assert "each found in its passage" in restored.stdout
        assert (rows(fresh), vectors(fresh), files(fresh)) == before
        with client(fresh, again.key("reader")) as api:
            assert call(api, "GET", "/api/v1/jobs") is not None
    finally:
        fresh.stop()
        machine.start()


def test_a_damaged_and_a_half_written_backup_are_noticed_and_alert(bench: Bench) -> None:
    site, machine, store = bench.site, bench.site.machine, bench.store
    site.write()  # the inventory named the other host
    machine.ssh("ai-investment-backup prepare && ai-investment-backup run")
    # Half-written: the store goes away in the middle. No success is recorded, and nothing is listed.
    machine.ssh(
        'mv /usr/bin/restic /usr/bin/restic.real && printf \'#!/bin/sh\\ncase "$*" in *" backup "*) timeout -s KILL 0.3 /usr/bin/restic.real "$@";; *) exec /usr/bin/restic.real "$@";; esac\\n\' > /usr/bin/restic && chmod 755 /usr/bin/restic'
    )
    before = machine.ssh("ai-investment-backup list | tail -1").stdout
    torn = machine.ssh("ai-investment-backup run", check=False)
    machine.ssh(
        "mv /usr/bin/restic.real /usr/bin/restic; bash -c 'source /usr/local/lib/ai-investment/stores.sh; restic unlock'"
    )
    assert torn.returncode != 0
    assert metric(machine, "ai_investment_backup_success") == 0
    assert machine.ssh("ai-investment-backup list | tail -1").stdout == before

    # Damaged: bytes of a pack are turned in the store.
    listing = store.ask("GET", "", prefix="ai-investment/data/").decode()
    keys = re.findall(r"<Key>([^<]+)</Key>.*?<Size>(\d+)</Size>", listing, re.S)
    key, _ = max(keys, key=lambda item: int(item[1]))
    pack = bytearray(store.ask("GET", key))
    pack[len(pack) // 2] ^= 0xFF
    store.ask("PUT", key, bytes(pack))
    checked = machine.ssh("ai-investment-backup check", check=False)
    assert checked.returncode != 0
    assert metric(machine, "ai_investment_backup_check_success") == 0
    refused = play(site.folder, "drill.yml")
    assert refused.returncode != 0
    assert metric(machine, "ai_investment_drill_success") == 0

    def firing() -> set[str]:
        shown = machine.ssh("curl -s http://127.0.0.1:9093/api/v2/alerts").stdout
        return set(re.findall(r'"alertname":"(\w+)"', shown))

    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not {"BackupDamaged", "BackupFailed"} <= firing():
        time.sleep(5)
    assert {"BackupDamaged", "BackupFailed"} <= firing()
