"""Mutants: copies of the manifests with one field or list element taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]


def paths(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every field and every element, the outer before the inner."""
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


def without(node: Any, path: Path) -> Any:
    """A copy without the part at `path`; everything off the path is shared."""
    key, *rest = path
    if isinstance(node, list):
        assert isinstance(key, int)
        if not rest:
            return node[:key] + node[key + 1 :]
        return [*node[:key], without(node[key], tuple(rest)), *node[key + 1 :]]
    if not rest:
        return {name: value for name, value in node.items() if name != key}
    return {**node, key: without(node[key], tuple(rest))}
