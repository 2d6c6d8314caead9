"""Every kustomization renders, is valid by strict schemas, and keeps the invariants."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.manifests import schema
from tests.manifests.cluster import Cluster
from tests.manifests.render import ENVIRONMENTS, GITOPS, environment, objects, run
from tests.manifests.rules import problems
from tests.manifests.validated import folders


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(GITOPS)))
def test_a_kustomization_renders_and_is_valid_strictly(folder: Path) -> None:
    items = objects(folder)
    assert items
    names = [(i["kind"], i["metadata"].get("namespace"), i["metadata"]["name"]) for i in items]
    assert len(names) == len(set(names))
    assert [fault for item in items for fault in schema.problems(item)] == []


def test_a_misspelt_field_and_an_unknown_kind_are_refused() -> None:
    by_kind = {item["kind"]: item for item in environment("production")}
    for kind in ("Deployment", "NetworkPolicy", "ScaledObject", "ExternalSecret"):
        item = by_kind[kind]
        assert schema.problems({**item, "spec": {**item["spec"], "paused": True, "poused": 1}})
    unknown = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
    assert schema.problems(unknown) == ["Thing/a: no schema for example.com/v1 Thing"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_keeps_every_invariant(name: str) -> None:
    assert problems(Cluster(environment(name))) == []


def test_no_kustomization_is_left_out() -> None:
    """Each folder is applied as it is, or used by one that is."""
    files = list(GITOPS.rglob("kustomization.yaml"))
    used = {folder.resolve() for folder in folders()}
    done = set(used)
    queue = list(used)
    while queue:
        folder = queue.pop()
        content = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for name in [*content.get("resources", []), *content.get("components", [])]:
            place = (folder / name).resolve()
            if place.is_dir() and place not in done:
                done.add(place)
                queue.append(place)
    assert {file.parent.resolve() for file in files} == done


def test_the_image_is_written_once_for_each_environment() -> None:
    for name in ENVIRONMENTS:
        mentions = [
            path
            for path in (GITOPS / "apps" / name).rglob("*.yaml")
            if "newName:" in path.read_text()
        ]
        assert mentions == [GITOPS / "apps" / name / "release" / "kustomization.yaml"]


def test_kubectl_renders_what_a_cluster_would_be_given() -> None:
    """The version that renders here is the one in uv.lock, not one of the machine."""
    assert "v1.3" in run("kubectl", "version", "--client").stdout
