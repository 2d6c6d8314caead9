"""Updates, failed updates and a rollback under a constant mixed load."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.deploy.live.conftest import BESIDE, Bench
from tests.deploy.live.load import Load, proven
from tests.deploy.live.site import Site, play, variant
from tests.doubles.threaded import model_server
from tests.faults.scene import DOCUMENT, QUESTION, reply

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def written(bench: Bench) -> Iterator[Site]:
    """The installation with a model that takes its time: questions, waits and streams last."""
    site = bench.site
    with model_server(reply("A Wombat fund owns only wombats.", 20.0), host=BESIDE) as model:
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
        done = written.deploy(newer, "--tags", "release")
        time.sleep(3)
    assert done.returncode == 0, done.stdout[-6000:]
    assert written.serving()[1] == newer
    proven(load)
    reconnects = load.reconnects

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
    assert reconnects + load.reconnects > 0
