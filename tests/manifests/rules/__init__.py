"""Invariants of the rendered manifests. Each rule takes a Cluster and says what is wrong, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.manifests.cluster import Cluster
from tests.manifests.rules import edge, network, objects, pods, scaling, secrets, watching

Rule = Callable[[Cluster], Iterator[str]]

RULES: tuple[Rule, ...] = (
    *objects.RULES, *pods.RULES, *secrets.RULES, *network.RULES, *scaling.RULES, *edge.RULES, *watching.RULES,
)  # fmt: skip


def problems(cluster: Cluster) -> list[str]:
    """What every rule finds; a manifest that a rule cannot even read is wrong too."""
    return [problem for rule in RULES for problem in _found(rule, cluster)]


def first_problem(cluster: Cluster) -> str | None:
    return next((problem for rule in RULES for problem in _found(rule, cluster)), None)


def _found(rule: Rule, cluster: Cluster) -> Iterator[str]:
    try:
        yield from rule(cluster)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as cause:
        yield f"{rule.__name__}: cannot be read: {type(cause).__name__} {cause}"
