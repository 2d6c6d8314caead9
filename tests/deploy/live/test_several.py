"""Two hosts, one of them with the stores and the workers: updates, the loss of one edge's API, their ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.live.conftest import Bench
from tests.deploy.live.load import Load, proven
from tests.deploy.live.machine import Machine
from tests.deploy.live.site import Site, call, client, open_ports, variant
from tests.faults.scene import QUESTION

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def pair(bench: Bench, written: Site) -> Iterator[Site]:
    edge = Machine("invest-3", 3)
    edge.create()
    edge.start()
    try:
        site = Site(written.folder, written.machine, written.settings, [edge])
        done = site.deploy(bench.release)
        assert done.returncode == 0, done.stdout[-6000:]
        yield site
    finally:
        edge.stop()
    alone = bench.site.deploy(bench.release)
    assert alone.returncode == 0, alone.stdout[-6000:]
    assert edge.address not in bench.site.machine.ssh("ufw show added").stdout


def test_an_update_rolls_over_both_hosts_and_fails_no_request_at_either(
    bench: Bench, pair: Site
) -> None:
    keys = [pair.key(f"pair{number}") for number in range(20)]
    newer = variant(bench.release, "ai_investment/newer.txt", "for two")
    first, second = pair.edges
    with Load(first.address, keys[:10]) as here, Load(second.address, keys[10:]) as there:
        done = pair.deploy(newer, "--tags", "release")
    assert done.returncode == 0, done.stdout[-6000:]
    proven(here)
    proven(there)
    assert here.cut
    assert there.cut
    for edge in pair.edges:
        served = edge.ssh(
            "readlink /opt/ai-investment/slots/$(cat /etc/ai-investment/active)"
        ).stdout
        assert served.strip().endswith(newer)


def test_an_edge_whose_own_api_is_away_asks_the_other_host(pair: Site) -> None:
    edge = pair.edges[1]
    key = pair.key("failover")
    edge.ssh("systemctl stop 'ai-investment-api@*'")
    try:
        with client(edge, key) as api:
            for _ in range(20):
                call(api, "GET", "/health")
            job = call(api, "POST", "/api/v1/chat/messages", json={"message": QUESTION})["job"]
            for _ in range(3):
                job = call(api, "GET", f"/api/v1/jobs/{job['id']}?wait=20")
        assert job["result"]["citations"]
    finally:
        edge.ssh('systemctl start "ai-investment-api@$(cat /etc/ai-investment/active)"')


def test_ports_between_the_hosts_are_closed_to_everybody_else(pair: Site) -> None:
    first, second = pair.edges
    second.ssh(f"python3 -c 'import socket; socket.create_connection((\"{first.address}\", 5432), 5)'")  # fmt: skip
    for edge in pair.edges:
        assert open_ports(edge) == {"22", "80", "443"}
