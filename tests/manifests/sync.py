"""A GitOps sync, rehearsed: render, diff, apply in order, wait for health. What a controller does, without a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.manifests.render import Object

Key = tuple[str, str]
# Within a wave Argo CD and Flux apply kinds in this order; workloads come last.
_KINDS = (
    "Namespace", "NetworkPolicy", "ServiceAccount", "Secret", "ExternalSecret", "ConfigMap", "PersistentVolumeClaim",
    "Service",
)  # fmt: skip


class Change(NamedTuple):
    """`action`: create, update or delete."""

    action: str
    item: Object


def key(item: Object) -> Key:
    return item["kind"], item["metadata"]["name"]


def diff(before: list[Object], after: list[Object]) -> list[Change]:
    """What differs, in the order of a sync: by wave, then by kind; deletions last."""
    old, new = ({key(item): item for item in items} for items in (before, after))
    changes = [
        Change("update" if name in old else "create", item)
        for name, item in new.items()
        if old.get(name) != item
    ]
    changes.sort(key=lambda change: (_wave(change.item), _rank(change.item)))
    return changes + [Change("delete", item) for name, item in old.items() if name not in new]


def _wave(item: Object) -> int:
    annotations = item["metadata"].get("annotations", {})
    return int(annotations.get("argocd.argoproj.io/sync-wave", "0"))


def _rank(item: Object) -> int:
    return _KINDS.index(item["kind"]) if item["kind"] in _KINDS else len(_KINDS)


def sync(
    changes: list[Change], apply: Callable[[Change], None], is_healthy: Callable[[Change], bool]
) -> Iterator[Change]:
    """Apply all of a wave, then wait for it; one that does not get healthy ends it, with what follows untouched."""
    waves: dict[int, list[Change]] = {}
    for change in changes:
        waves.setdefault(_wave(change.item) if change.action != "delete" else 99, []).append(change)
    for _, wave in sorted(waves.items()):
        for change in wave:
            apply(change)
            yield change
        if not all(map(is_healthy, wave)):
            return


def changed_fields(old: Object, new: Object) -> set[str]:
    """Dotted paths of leaves that differ."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{path}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{path}.{index}")
    else:
        yield path, json.dumps(node)
