"""One host from nothing: deployed, looked at from outside, updated under load, backed up, lost and restored."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deploy.live.conftest import BUCKET, SETTINGS, Bench
from tests.deploy.live.load import Load
from tests.deploy.live.machine import CACHE, Machine
from tests.deploy.live.site import DOMAIN, Site, changes, play, tasks_changed, variant
from tests.doubles.threaded import model_server
from tests.faults.scene import DOCUMENT, QUESTION, reply

pytestmark = pytest.mark.timeout(3600)


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


def test_an_empty_host_becomes_a_service_that_answers_with_citations(bench: Bench) -> None:
    done = bench.site.deploy(bench.release)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "each found in its passage" in done.stdout
    with client(bench.site.machine, bench.site.key("reader")) as api:
        asked = call(api, "POST", "/api/v1/chat/messages", json={"message": "What is a bond?"}, headers={"Prefer": "wait=20"})  # fmt: skip
        job = call(api, "GET", f"/api/v1/jobs/{asked['job']['id']}?wait=20")
    assert job["result"]["outcome"] == "answered"
    assert job["result"]["citations"]


def test_a_second_run_changes_nothing_and_a_check_finds_nothing_to_change(bench: Bench) -> None:
    for arguments in ([], ["--check", "--diff"]):
        done = bench.site.deploy(bench.release, *arguments)
        assert done.returncode == 0, done.stdout[-6000:]
        assert changes(done) == 0, tasks_changed(done)


def test_from_outside_only_22_80_and_443_are_open(bench: Bench) -> None:
    scan = subprocess.run(
        ["nmap", "-Pn", "-n", "-p-", "--min-rate", "4000", "--max-retries", "2", bench.site.machine.address],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = set(re.findall(r"^(\d+)/tcp\s+open", scan.stdout, re.M))
    assert found == {"22", "80", "443"}, scan.stdout


def test_tls_headers_and_closed_places(bench: Bench) -> None:
    machine = bench.site.machine
    for version, accepted in (("1.0", False), ("1.1", False), ("1.2", True), ("1.3", True)):
        done = curl(
            machine, "/health", "--tls-max", version, f"--tlsv{version}", "--ciphers", "DEFAULT:@SECLEVEL=0",
        )  # fmt: skip
        assert (done.returncode == 0) == accepted, (version, done.stderr)
    answer = curl(machine, "/health", "-D", "-").stdout.lower()
    assert answer.startswith("http/2 200")
    for header in ("strict-transport-security: max-age=63072000", "x-content-type-options: nosniff",
                   "referrer-policy: no-referrer", "content-security-policy: default-src 'self'"):  # fmt: skip
        assert answer.count(header) == 1, answer
    for path in (
        "/metrics",
        "/metrics/",
        "//metrics",
        "/%6detrics",
        "/health/detailed",
        "/health/../metrics",
    ):
        assert curl(machine, path, "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}").stdout == "404", path  # fmt: skip
    stranger = subprocess.run(
        ["curl", "-sk", "--max-time", "10", "--noproxy", "*", f"https://{machine.address}/health"], check=False
    )  # fmt: skip
    assert stranger.returncode != 0
    plain = httpx.get(f"http://{machine.address}/x?y", headers={"Host": "evil.test"}, trust_env=False)  # fmt: skip
    assert plain.headers["location"] == f"https://{DOMAIN}/x?y"


def test_units_live_in_a_sandbox_and_see_their_secrets_alone(bench: Bench) -> None:
    machine = bench.site.machine
    slot, _ = bench.site.serving()
    units = [f"ai-investment-api@{slot}", "ai-investment-worker-answers@1", "ai-investment-chroma", "nginx"]  # fmt: skip
    for unit in units:
        shown = machine.ssh(f"systemd-analyze security --no-pager {unit} | tail -1").stdout
        assert float(re.findall(r"([\d.]+) \w+", shown)[0]) < 3, shown
    assert machine.ssh("systemctl --failed --no-legend").stdout.strip() == ""
    seen = machine.ssh(
        "find /etc/ai-investment/secrets -type f -printf '%m %u\\n' | sort -u"
    ).stdout
    assert seen == "400 root\n"
    assert "ssh-password" not in machine.ssh("sshd -T | grep -i passwordauth").stdout
    assert "passwordauthentication no" in machine.ssh("sshd -T").stdout


def test_a_bad_configuration_and_a_bad_certificate_leave_what_serves(bench: Bench) -> None:
    machine = bench.site.machine
    before = machine.ssh("sha256sum /etc/nginx/nginx.conf /etc/ai-investment/tls/*").stdout
    bench.site.settings["nginx_burst"] = "many; nonsense"
    pushed = bench.site.deploy(bench.release, "--tags", "edge")
    bench.site.settings["nginx_burst"] = SETTINGS["nginx_burst"]
    assert pushed.returncode != 0
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN={0} -addext subjectAltName=DNS:{0} -keyout /root/{1}.key -out /root/{1}.pem"  # fmt: skip
    machine.ssh(make.format("other.test", "other") + " 2>/dev/null")
    machine.ssh(make.format(DOMAIN, "good") + " 2>/dev/null; head -c 200 /root/good.pem > /root/torn.pem")  # fmt: skip
    install = "ai-investment-install-certificate"
    for pair, reason in (("other.pem /root/other.key", "not for"), ("good.pem /root/other.key", "no pair"),
                         ("torn.pem /root/good.key", "no certificate")):  # fmt: skip
        refused = machine.ssh(f"{install} /root/{pair}", check=False)
        assert refused.returncode == 1
        assert reason in refused.stderr
    assert machine.ssh("sha256sum /etc/nginx/nginx.conf /etc/ai-investment/tls/*").stdout == before
    assert curl(machine, "/health").returncode == 0
    assert machine.ssh(f"{install} /root/good.pem /root/good.key").stdout.strip() == "installed"
    served = subprocess.run(
        f"openssl s_client -connect {machine.address}:443 -servername {DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint",
        shell=True, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert served == machine.ssh("openssl x509 -in /root/good.pem -noout -fingerprint").stdout


@pytest.fixture(scope="module")
def written(bench: Bench) -> Iterator[Site]:
    """The installation with a model that takes its time: questions, waits and streams last."""
    site = bench.site
    with model_server(
        reply("A Wombat fund owns only wombats.", 6.0), host=site.machine.gateway
    ) as model:
        machine = site.machine
        (machine.root / "root" / "wombat.md").write_bytes(DOCUMENT)
        machine.ssh(
            "install -d -m 755 /run/docs && cp /root/wombat.md /run/docs/ && ai-investment ingest /run/docs/wombat.md"
        )
        site.settings |= {
            "app_settings": {"OPENAI_BASE_URL": model.server.base_url},
            "vault_openai_api_key": "sk-test-canary",
            "app_check_question": QUESTION,
        }
        yield site
        for name in ("app_settings", "vault_openai_api_key", "app_check_question"):
            site.settings.pop(name)


def proven(load: Load) -> None:
    print(f"{load.requests} requests, {len(load.accepted)} questions, {load.streams} streams, "
          f"{load.reconnects} reconnects, slowest answer {load.slowest:.2f} s, {len(load.failures)} failures")  # fmt: skip
    assert load.failures == []
    assert set(load.states.values()) == {"succeeded"}, load.states
    assert len(load.states) == len(load.accepted) > 5
    assert load.requests > 200


def test_deploy_failed_deploy_and_rollback_under_load_fail_no_request(
    bench: Bench, written: Site
) -> None:
    settled = written.deploy(bench.release, "--tags", "release")
    assert settled.returncode == 0, settled.stdout[-6000:]
    keys = [written.key(f"load{number}") for number in range(6)]
    newer = variant(bench.release, "ai_investment/newer.txt", "newer")
    broken = variant(
        bench.release, "ai_investment/app.py", "raise SystemExit('broken on purpose')\n"
    )
    deaf = variant(bench.release, "workers/answers.py", "raise SystemExit('broken on purpose')\n")

    with Load(written.machine.address, keys) as load:
        time.sleep(5)
        done = written.deploy(newer, "--tags", "release")
        time.sleep(3)
    assert done.returncode == 0, done.stdout[-6000:]
    assert written.serving()[1] == newer
    proven(load)
    assert load.reconnects > 0

    for bad in (broken, deaf):
        with Load(written.machine.address, keys) as load:
            done = written.deploy(bad, "--tags", "release", "-e", "app_healthy_seconds=15")
        assert done.returncode != 0
        assert "goes on" in done.stdout
        assert written.serving()[1] == newer
        proven(load)

    with Load(written.machine.address, keys) as load:
        time.sleep(3)
        done = play(written.folder, "rollback.yml")
        time.sleep(3)
    assert done.returncode == 0, done.stdout[-6000:]
    assert written.serving()[1] == bench.release
    proven(load)


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
    listing = httpx.get(
        f"{store.url}/{BUCKET}",
        params={"prefix": "ai-investment/data/", "list-type": "2"},
        trust_env=False,
    ).text
    keys = re.findall(r"<Key>([^<]+)</Key>.*?<Size>(\d+)</Size>", listing, re.S)
    key, _ = max(keys, key=lambda item: int(item[1]))
    pack = bytearray(httpx.get(f"{store.url}/{BUCKET}/{key}", trust_env=False).content)
    pack[len(pack) // 2] ^= 0xFF
    httpx.put(
        f"{store.url}/{BUCKET}/{key}", content=bytes(pack), trust_env=False
    ).raise_for_status()
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
