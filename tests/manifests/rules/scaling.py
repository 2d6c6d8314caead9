"""Replicas: who decides on them, by what, and whether the database can bear them all."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.cluster import COMPONENT, Cluster, component, container, name
from tests.manifests.render import Object
from tests.manifests.rules.secrets import keys_of

_SCALED = tuple(worker for worker in product.WORKERS if worker != "scheduler")


def one_decides_on_replicas(cluster: Cluster) -> Iterator[str]:
    targets = [
        (item["spec"]["scaleTargetRef"].get("kind", "Deployment"), item["spec"]["scaleTargetRef"]["name"])
        for item in cluster.of("HorizontalPodAutoscaler", "ScaledObject")
    ]  # fmt: skip
    for kind, target in targets:
        if kind != "Deployment" or cluster.named(kind, target) is None:
            yield f"an autoscaler of {kind} {target}, which is not there"
    for workload in cluster.of("Deployment"):
        count = targets.count(("Deployment", workload["metadata"]["name"]))
        if count > 1 or (count == 1) == ("replicas" in workload["spec"]):
            yield f"{name(workload)}: {count} autoscalers, replicas {workload['spec'].get('replicas')}"
    scheduler = cluster.named("Deployment", "scheduler")
    if scheduler is None or scheduler["spec"]["replicas"] != 2:
        yield "schedulers are not two: one node lost would stop the clock"


def the_api_scales_by_what_it_uses(cluster: Cluster) -> Iterator[str]:
    [scaler] = cluster.of("HorizontalPodAutoscaler")
    spec = scaler["spec"]
    if spec["scaleTargetRef"] != {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}:
        yield f"{name(scaler)}: scales {spec['scaleTargetRef']}"
    if not 2 <= spec["minReplicas"] < spec["maxReplicas"] <= 10:
        yield f"{name(scaler)}: {spec['minReplicas']} to {spec['maxReplicas']}"
    used = {metric["resource"]["name"]: metric["resource"]["target"] for metric in spec["metrics"]}
    for resource in ("cpu", "memory"):
        target = used[resource]
        if target["type"] != "Utilization" or not 50 <= target["averageUtilization"] <= 90:
            yield f"{name(scaler)}: {resource} {target}"
    if {metric["type"] for metric in spec["metrics"]} != {"Resource"}:
        yield f"{name(scaler)}: metrics"
    yield from _slowly_down(scaler, spec["behavior"])
    up = spec["behavior"]["scaleUp"]
    if up["stabilizationWindowSeconds"] != 0 or up["policies"] != [
        {"type": "Percent", "value": 100, "periodSeconds": 30}
    ]:
        yield f"{name(scaler)}: grows {up}"


def _slowly_down(scaler: Object, behavior: Any) -> Iterator[str]:
    down = behavior["scaleDown"]
    if down["stabilizationWindowSeconds"] < 300:
        yield f"{name(scaler)}: shrinks after {down['stabilizationWindowSeconds']} s"
    if down["policies"] != [{"type": "Pods", "value": 1, "periodSeconds": 60}]:
        yield f"{name(scaler)}: shrinks by {down['policies']}"


def workers_scale_by_their_own_queue(cluster: Cluster) -> Iterator[str]:
    scaled = {item["metadata"]["name"]: item for item in cluster.of("ScaledObject")}
    if set(scaled) != set(_SCALED):
        yield f"scaled are {sorted(scaled)}, not {sorted(_SCALED)}"
    for worker, scaler in scaled.items():
        spec = scaler["spec"]
        if spec["scaleTargetRef"] != {"name": worker}:
            yield f"{name(scaler)}: scales {spec['scaleTargetRef']}"
        if not 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"]:
            yield f"{name(scaler)}: {spec['minReplicaCount']} to {spec['maxReplicaCount']}"
        if not 10 <= spec["pollingInterval"] <= 60 or spec["cooldownPeriod"] < 300:
            yield f"{name(scaler)}: asks every {spec['pollingInterval']} s"
        fallback = spec["fallback"]
        if fallback["failureThreshold"] > 5 or fallback["behavior"] != "currentReplicasIfHigher":
            yield f"{name(scaler)}: without its database {fallback}"
        if not spec["minReplicaCount"] <= fallback["replicas"] <= spec["maxReplicaCount"]:
            yield f"{name(scaler)}: fallback {fallback['replicas']}"
        yield from _slowly_down(
            scaler, spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        )
        yield from _trigger(cluster, worker, scaler)


def _trigger(cluster: Cluster, worker: str, scaler: Object) -> Iterator[str]:
    [trigger] = scaler["spec"]["triggers"]
    if (trigger["type"], trigger["metricType"]) != ("postgresql", "AverageValue"):
        yield f"{name(scaler)}: KEDA's redis scaler cannot read the queue; SQL knows it"
    query = trigger["metadata"]["query"]
    if set(re.findall(r"queue = '(\w+)'", query)) != {worker}:
        yield f"{name(scaler)}: counts another's jobs"
    if not 0 < int(trigger["metadata"]["targetQueryValue"]) <= product.slots(worker):
        yield f"{name(scaler)}: a replica takes {product.slots(worker)} at once"
    authentication = cluster.named("TriggerAuthentication", trigger["authenticationRef"]["name"])
    if authentication is None:
        yield f"{name(scaler)}: no credentials"
        return
    [secret] = authentication["spec"]["secretTargetRef"]
    if secret != {"parameter": "connection", "name": "scaler", "key": "connection"}:
        yield f"{name(authentication)}: {secret}"
    if "connection" not in keys_of(cluster, "scaler"):
        yield f"{name(authentication)}: its Secret has no connection"


def budgets_allow_one_at_a_time(cluster: Cluster) -> Iterator[str]:
    budgets = {
        budget["metadata"]["name"]: budget["spec"] for budget in cluster.of("PodDisruptionBudget")
    }
    if set(budgets) != {component(workload) for workload in cluster.ours}:
        yield f"budgets of {sorted(budgets)}"
    for who, spec in budgets.items():
        if spec["maxUnavailable"] != 1:
            yield f"PodDisruptionBudget/{who}: a node could not be drained, or all go at once"
        if spec["selector"]["matchLabels"] != {COMPONENT: who}:
            yield f"PodDisruptionBudget/{who}: of others"


def the_database_bears_all_pools(cluster: Cluster) -> Iterator[str]:
    most = {
        item["spec"]["scaleTargetRef"]["name"]: item["spec"]["maxReplicaCount"]
        for item in cluster.of("ScaledObject")
    }
    most |= {
        item["spec"]["scaleTargetRef"]["name"]: item["spec"]["maxReplicas"]
        for item in cluster.of("HorizontalPodAutoscaler")
    }
    pools = 0
    for workload in cluster.ours:
        replicas = most.get(component(workload)) or workload["spec"]["replicas"]
        # A rollout adds a quarter, rounded up.
        pools += (replicas + math.ceil(replicas / 4)) * product.POOL
    # KEDA, the migration, an operator, PostgreSQL's own reserve.
    wanted = pools + 20
    if wanted > (limit := _max_connections(cluster)):
        yield f"pools of {wanted} connections on a database with {limit}"


def _max_connections(cluster: Cluster) -> int:
    if postgres := cluster.named("Deployment", "postgres"):
        [word] = [w for w in container(postgres)["args"] if w.startswith("max_connections=")]
        return int(word.split("=")[1])
    secret = cluster.named("ExternalSecret", "ai-investment")
    assert secret is not None
    return int(secret["metadata"]["annotations"]["ai-investment.internal/max-connections"])


RULES = (
    one_decides_on_replicas, the_api_scales_by_what_it_uses, workers_scale_by_their_own_queue,
    budgets_allow_one_at_a_time, the_database_bears_all_pools,
)  # fmt: skip
