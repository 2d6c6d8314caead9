"""Everything in gitops/ that is applied to a cluster: one list, for schemas and for mutation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.manifests.render import ENVIRONMENTS, GITOPS, Object, objects


def folders() -> list[Path]:
    """Every kustomization that is applied as it is."""
    per_environment = [
        GITOPS / place / name
        for place in ("apps", "clusters", "infrastructure/configs")
        for name in ENVIRONMENTS
    ]
    return [
        *per_environment,
        GITOPS / "apps" / "base",
        GITOPS / "infrastructure" / "controllers",
        GITOPS / "argocd",
        *(GITOPS / "apps" / "podman" / step for step in ("foundation", "migration", "workloads")),
        GITOPS / "apps" / "components" / "blue-green-example",
    ]


def everything() -> Iterator[tuple[Path, Object]]:
    for folder in folders():
        for item in objects(folder):
            yield folder, item
