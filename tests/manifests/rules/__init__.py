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


def first_problem(cluster: Cluster, rules: list[Rule] | None = None) -> str | None:
    """What the first rule that finds something says; `rules` then begins with that one, for the next of its like."""
    rules = list(RULES) if rules is None else rules
    for position, rule in enumerate(rules):
        if problem := next(_found(rule, cluster), None):
            rules.insert(0, rules.pop(position))
            return problem
    return None


def _found(rule: Rule, cluster: Cluster) -> Iterator[str]:
    try:
        yield from rule(cluster)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as cause:
        yield f"{rule.__name__}: cannot be read: {type(cause).__name__} {cause}"
