"""One host from nothing: deployed, deployed again, looked at from outside, given bad configurations."""

from __future__ import annotations

import re
import subprocess

import httpx
import pytest

from tests.deploy.live.conftest import SETTINGS, Bench
from tests.deploy.live.machine import Machine
from tests.deploy.live.site import DOMAIN, call, changes, client, curl, open_ports, tasks_changed
from tests.services import wait_until

pytestmark = pytest.mark.timeout(3600)


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
    assert open_ports(bench.site.machine) == {"22", "80", "443"}


# What a container engine does for `publish: 16379:6379`: forwards before UFW's own chains are asked.
PUBLISH = """
set -e
ip netns add box; ip link add box-out type veth peer name box-in netns box
ip address add 172.31.7.1/24 dev box-out; ip link set box-out up
ip -n box address add 172.31.7.2/24 dev box-in; ip -n box link set box-in up
ip -n box route add default via 172.31.7.1; echo 1 > /proc/sys/net/ipv4/ip_forward
systemd-run --quiet --collect --unit=box ip netns exec box python3 -m http.server 6379
systemd-run --quiet --collect --unit=careless python3 -m http.server 9999 --bind 0.0.0.0
iptables -t nat -A PREROUTING -p tcp --dport 16379 -j DNAT --to 172.31.7.2:6379
iptables -I FORWARD -d 172.31.7.2 -p tcp --dport 6379 -j ACCEPT
until curl -s -o /dev/null 172.31.7.2:6379 && curl -s -o /dev/null 127.0.0.1:9999; do sleep 0.2; done
"""
WITHDRAW = """
systemctl stop box careless; ip link delete box-out; ip netns delete box
iptables -t nat -D PREROUTING -p tcp --dport 16379 -j DNAT --to 172.31.7.2:6379
iptables -D FORWARD -d 172.31.7.2 -p tcp --dport 6379 -j ACCEPT
ufw --force enable >/dev/null; /etc/ufw/after.init start
"""


def reachable(machine: Machine, port: int) -> bool:
    try:
        return httpx.get(f"http://{machine.address}:{port}", trust_env=False, timeout=3).is_success
    except httpx.HTTPError:
        return False


def test_what_listens_by_mistake_or_is_published_by_a_container_engine_stays_closed(
    bench: Bench,
) -> None:
    machine = bench.site.machine
    machine.ssh(PUBLISH)
    try:
        assert not reachable(machine, 9999)
        assert not reachable(machine, 16379)
        # It is our rules that close them: without each, its port is open.
        machine.ssh("/etc/ufw/after.init stop")
        assert reachable(machine, 16379)
        machine.ssh("/etc/ufw/after.init start; ufw disable")
        assert reachable(machine, 9999)
    finally:
        machine.ssh(WITHDRAW)
    assert curl(machine, "/health").returncode == 0


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


# What a role promises, a command on the host that shows it, and what it says then.
PROMISES = {
    "base": ("systemctl is-enabled apt-daily-upgrade.timer systemd-timesyncd; ls -d /var/log/journal/*", r"enabled\nenabled\n/var"),
    "firewall": ("ufw status verbose", r"Default: deny \(incoming\)"),
    "uv": ("/opt/uv/bin/uv pip freeze --python /opt/ai-investment/current/venv | grep -c ==; stat -c %U /opt/uv/bin/uv", r"^\d{2,}\nroot"),
    "postgresql": ("runuser -u postgres -- psql -Atc \"select rolpassword ~ '^SCRAM', rolsuper from pg_authid where rolname = 'ai_investment'\"", "^t\\|f$"),
    "postgresql, a stranger": ("psql -w -h 127.0.0.1 -U ai_investment ai_investment -c 'select 1' 2>&1", "no password supplied"),
    "redis": ("redis-cli -u $(cat /etc/ai-investment/secrets/REDIS_URL) info 2>/dev/null", r"(?s)maxmemory_policy:noeviction.*aof_enabled:1"),
    "redis, the application": ("redis-cli -u $(cat /etc/ai-investment/secrets/REDIS_URL) flushall 2>&1", "NOPERM"),
    "redis, a stranger": ("redis-cli ping", "NOAUTH"),
    "backup": ("systemctl is-active ai-investment-backup.timer ai-investment-try-restore.timer", "active\nactive"),
    "monitoring": ("curl -s '127.0.0.1:9090/api/v1/query?query=sum(up)==count(up)'", r'"value":\[[\d.]+,"3"\]'),
}  # fmt: skip


@pytest.mark.parametrize("role", PROMISES)
def test_a_role_keeps_its_promise(bench: Bench, role: str) -> None:
    command, expected = PROMISES[role]
    assert re.search(expected, bench.site.machine.ssh(command, check=False).stdout)


def test_the_operators_key_is_in_no_place_where_others_look(bench: Bench) -> None:
    machine = bench.site.machine
    machine.ssh("ai-investment --unit looked-at worker delivery")
    seen = machine.ssh("systemctl show looked-at; ps -eo args; systemctl stop looked-at").stdout
    assert "AI_INVESTMENT_URL" in seen
    key = machine.ssh("cat /etc/ai-investment/operator.key").stdout.strip()
    assert key not in seen
    assert key not in machine.ssh("journalctl --no-pager -o cat").stdout


def test_administrators_come_by_their_own_key_and_root_no_longer(bench: Bench) -> None:
    site, machine = bench.site, bench.site.machine
    own: dict[str, object] = {
        "base_admin_keys": [machine.key.with_suffix(".pub").read_text().strip()]
    }
    steps = [
        own,
        own | {"ansible_user": "deploy"},
        own | {"ansible_user": "deploy", "base_root_login": "prohibit-password"},
    ]
    before = dict(site.settings)
    for step, expected in zip(steps, (True, False, True), strict=True):
        site.settings = before | step
        done = site.deploy(bench.release, "--tags", "base")
        assert done.returncode == 0, done.stdout[-6000:]
        assert (machine.ssh("true", check=False).returncode == 0) == expected
    site.settings = before
    site.write()


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
    machine.ssh("echo nonsense >> /etc/nginx/ai-investment-upstream.conf")
    refused = machine.ssh(f"{install} /root/good.pem /root/good.key", check=False)
    machine.ssh("sed -i '$ d' /etc/nginx/ai-investment-upstream.conf")
    assert "nginx does not accept it" in refused.stderr
    assert machine.ssh("sha256sum /etc/nginx/nginx.conf /etc/ai-investment/tls/*").stdout == before
    assert curl(machine, "/health").returncode == 0
    assert machine.ssh(f"{install} /root/good.pem /root/good.key").stdout.strip() == "installed"
    good = machine.ssh("openssl x509 -in /root/good.pem -noout -fingerprint").stdout
    # Nginx takes it up a moment after it was told.
    wait_until(lambda: fingerprint(machine) == good, "the new certificate", 15)


def fingerprint(machine: Machine) -> str:
    """Of the certificate that is served."""
    return subprocess.run(
        f"openssl s_client -connect {machine.address}:443 -servername {DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint",
        shell=True, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
