"""Updates, failed updates and a rollback under a constant mixed load."""

from __future__ import annotations

import time

import pytest

from tests.deploy.live.conftest import Bench
from tests.deploy.live.load import Load, proven
from tests.deploy.live.site import Site, play, variant

pytestmark = pytest.mark.timeout(3600)


def test_deploy_failed_deploy_and_rollback_under_load_fail_no_request(
    bench: Bench, written: Site
) -> None:
    settled = written.deploy(bench.release, "--tags", "release")
    assert settled.returncode == 0, settled.stdout[-6000:]
    keys = [written.key(f"load{number}") for number in range(10)]
    newer = variant(bench.release, "ai_investment/newer.txt", "newer")
    broken = variant(
        bench.release, "ai_investment/app.py", "raise SystemExit('broken on purpose')\n"
    )
    deaf = variant(bench.release, "workers/answers.py", "raise SystemExit('broken on purpose')\n")

    with Load(written.machine.address, keys) as load:
        time.sleep(5)
        done = written.deploy(newer)
        time.sleep(3)
    assert done.returncode == 0, done.stdout[-6000:]
    assert written.serving()[1] == newer
    proven(load)
    assert load.cut

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
    assert load.cut
