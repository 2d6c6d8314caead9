"""Prometheus: it finds every process, and alerts speak of series that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.manifests import product
from tests.manifests.cluster import COMPONENT, Cluster, name
from tests.manifests.render import ROOT

_WORD = re.compile(r"\b([a-z_][a-z0-9_]*)\b(?!\s*=)")
_PROMQL = {
    "sum", "rate", "max", "by", "le", "absent", "histogram_quantile", "count", "offset", "and", "or", "on", "unless",
}  # fmt: skip
# Prometheus' own.
_GIVEN = {"up"}
_ALERTS = {
    "ApiAway", "ErrorsAreMany", "AnswersToHttpAreSlow", "QueueIsLate", "JobsAreDead", "WorkerIsAway", "MemoryIsShort",
}  # fmt: skip


def monitors_find_their_service(cluster: Cluster) -> Iterator[str]:
    [monitor] = cluster.of("ServiceMonitor")
    spec = monitor["spec"]
    wanted = spec["selector"]["matchLabels"]
    found = [s for s in cluster.of("Service") if wanted.items() <= s["metadata"]["labels"].items()]
    if [service["metadata"]["name"] for service in found] != ["internal"]:
        yield f"{name(monitor)}: watches {[name(service) for service in found]}"
    [endpoint] = spec["endpoints"]
    if endpoint["port"] != "metrics" or endpoint["path"] not in product.INTERNAL_PATHS:
        yield f"{name(monitor)}: {endpoint}"
    if endpoint["path"] != "/metrics" or spec["podTargetLabels"] != [COMPONENT]:
        yield f"{name(monitor)}: alerts name a component that series do not carry"
    interval, timeout = (
        int(endpoint[key].removesuffix("s")) for key in ("interval", "scrapeTimeout")
    )
    if not product.PROBE_SECONDS < timeout < interval <= 60:
        yield f"{name(monitor)}: every {interval} s, for {timeout} s"


def alerts_speak_of_what_exists(cluster: Cluster) -> Iterator[str]:
    [rules] = cluster.of("PrometheusRule")
    [group] = rules["spec"]["groups"]
    if group["name"] != "ai-investment" or {rule["alert"] for rule in group["rules"]} != _ALERTS:
        yield f"{name(rules)}: alerts {sorted(rule['alert'] for rule in group['rules'])}"
    for rule in group["rules"]:
        for series in sorted(_series(rule["expr"]) - product.metrics() - _GIVEN):
            yield f"{name(rules)}: {rule['alert']} speaks of {series}, which does not exist"
        if not re.fullmatch(r"\d+m", rule["for"]):
            yield f"{name(rules)}: {rule['alert']} cries at once"
        if rule["labels"]["severity"] not in ("page", "ticket"):
            yield f"{name(rules)}: {rule['alert']} reaches nobody"
        if not rule["annotations"]["summary"]:
            yield f"{name(rules)}: {rule['alert']} does not say what is"
        page = rule["annotations"]["runbook"].partition("/blob/main/")[2]
        if page not in _PAGES or not (ROOT / page).exists():
            yield f"{name(rules)}: {rule['alert']} leads to {page}"


_PAGES = {"docs/deployment.md", "docs/reliability.md", "docs/operations.md"}


def _series(expression: str) -> set[str]:
    """Names of series: words that are neither functions, labels, nor durations."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby\s*\([^)]*\)", " ", expression)
    return {
        word for word in _WORD.findall(bare) if word not in _PROMQL and not re.match(r"\d", word)
    }


RULES = (monitors_find_their_service, alerts_speak_of_what_exists)
