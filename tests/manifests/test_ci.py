"""Both CI systems and the image's recipe: linted, pinned, and with the recipes that a developer runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.manifests import product
from tests.manifests.render import GITOPS, ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "delivery.yml"
GITLAB = ROOT / ".gitlab-ci.yml"
RECIPES = ("just setup", "just check", "just test")


def test_every_action_is_pinned_by_its_commit() -> None:
    uses = re.findall(r"uses: (\S+)", WORKFLOW.read_text())
    assert len(uses) > 5
    assert [use for use in uses if not re.search(r"@[0-9a-f]{40}$", use)] == []


def test_both_systems_run_the_recipes_of_a_developer_and_test_build_scan_sign_deploy() -> None:
    for path in (WORKFLOW, GITLAB):
        text = path.read_text()
        for recipe in RECIPES:
            assert recipe in text
            assert re.search(
                rf"^{recipe.removeprefix('just ')}\b", (ROOT / "justfile").read_text(), re.MULTILINE
            )
        for step in (
            "Containerfile",
            "trivy",
            "cosign sign --yes",
            "scripts/promote",
            "up --check",
        ):
            assert step in text, (path.name, step)
    assert yaml.safe_load(GITLAB.read_text())["production"]["rules"][0]["when"] == "manual"
    assert yaml.safe_load(WORKFLOW.read_text())["jobs"]["promote"]["environment"] == "production"


def test_a_promotion_writes_one_file_and_keeps_what_automation_looks_for(tmp_path: Path) -> None:
    digest = "sha256:" + "c" * 64
    for environment in ("staging", "production"):
        source = GITOPS / "apps" / environment / "release" / "kustomization.yaml"
        target = tmp_path / "gitops" / "apps" / environment / "release" / "kustomization.yaml"
        target.parent.mkdir(parents=True)
        target.write_text(source.read_text())
        script = tmp_path / "scripts" / "promote"
        script.parent.mkdir(exist_ok=True)
        script.write_bytes((ROOT / "scripts" / "promote").read_bytes())
        command = ["bash", str(script), environment, "registry.example/image", "1.2.3", digest]
        subprocess.run(command, check=True)
        [image] = yaml.safe_load(target.read_text())["images"]
        assert (image["newName"], image["newTag"], image["digest"]) == (
            "registry.example/image",
            "1.2.3",
            digest,
        )
        assert image["name"] == "ai-investment-backend"
        assert target.read_text().count("$imagepolicy") == source.read_text().count("$imagepolicy")
    refused = subprocess.run(
        ["bash", str(script), "staging", "i", "1", "latest"], check=False, capture_output=True
    )
    assert refused.returncode == 2


@pytest.mark.parametrize("wanted", [
    "USER 10001:10001", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["ai-investment"]', 'CMD ["serve"]',
    f"API_PORT={product.API_PORT}", f"METRICS_PORT={product.METRICS_PORT}",
    f"AI_INVESTMENT_DATA_DIRECTORY={product.DATA}", "sbom.cdx.json", "org.opencontainers.image.licenses",
])  # fmt: skip
def test_the_image_is_what_the_manifests_rely_on(wanted: str) -> None:
    assert wanted in (ROOT / "Containerfile").read_text()


def test_the_base_is_pinned_and_its_settings_exist() -> None:
    text = (ROOT / "Containerfile").read_text()
    assert re.search(r"^ARG BASE=\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    [environment] = re.findall(r"^ENV PATH=.*?(?=^USER)", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r"\b((?:AI_INVESTMENT|API|METRICS)_\w+)=", environment)
    assert len(names) == 5
    assert [name for name in names if not product.is_setting(name)] == []
    # What the image copies is let through to the build.
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    for name in ("src", "workers", "pyproject.toml", "uv.lock", "README.md", "LICENSE"):
        assert f"!{name}" in ignored
