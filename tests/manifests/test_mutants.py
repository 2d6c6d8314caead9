"""The invariants themselves are tested: whatever is taken out of a manifest, something notices."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.manifests import schema
from tests.manifests.cluster import Cluster
from tests.manifests.mutants import Path, paths, without
from tests.manifests.render import ENVIRONMENTS, Object, environment
from tests.manifests.rules import RULES, Rule, first_problem

# What may be taken away without harm, and why.
HARMLESS = {
    "*/metadata/labels/app.kubernetes.io/component": "for people: selectors name the labels of pods",
    "Deployment/*/spec/template/metadata/annotations*": "Argo CD reads the wave of the Deployment, not of its pods",
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_whatever_is_taken_out_of_a_manifest_is_noticed(name: str) -> None:
    items = environment(name)
    survivors, total, rules = [], 0, list(RULES)
    for index, item in enumerate(items):
        for path in paths(item):
            total += 1
            if not _noticed(items, index, path, rules):
                survivors.append(_named(item, path))
    unexplained = [s for s in survivors if not any(fnmatch(s, known) for known in HARMLESS)]
    print(f"{name}: {total} mutants, {len(survivors)} survive: {survivors}")
    assert total > 1500
    assert len(survivors) <= 0.05 * total
    assert unexplained == []


def _noticed(items: list[Object], index: int, path: Path, rules: list[Rule]) -> bool:
    mutant = without(items[index], path)
    mutated = [*items[:index], mutant, *items[index + 1 :]]
    return bool(schema.problems(mutant) or first_problem(Cluster(mutated), rules))


def test_an_object_that_is_missing_is_noticed() -> None:
    for name in ENVIRONMENTS:
        items = environment(name)
        for index, item in enumerate(items):
            rest = items[:index] + items[index + 1 :]
            assert first_problem(Cluster(rest)), (
                f"{name}: {item['kind']} {item['metadata']['name']}"
            )


def _named(item: Object, path: Path) -> str:
    return "/".join(map(str, (item.get("kind"), item["metadata"].get("name"), *path)))
