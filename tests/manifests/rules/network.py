"""Who may talk to whom: the policies are reduced to flows, and the flows are exactly those that are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.cluster import COMPONENT, Cluster, component, name, pod_labels
from tests.manifests.render import Object

Flow = tuple[str, str, str, str]
"""(component, in or out, peer, port)."""

_WEB = (
    "0.0.0.0/0 but 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16"
)
_TALK_TO_THE_WEB = ("answers", "pipeline", "delivery")
_STORES = {"redis": "TCP 6379", "chroma": "TCP 8000"}


def flows_are_those_needed(cluster: Cluster) -> Iterator[str]:
    allowed = {flow for workload in cluster.workloads for flow in _flows(cluster, workload)}
    needed = set(_needed(cluster))
    yield from (f"not allowed: {' '.join(flow)}" for flow in sorted(needed - allowed))
    yield from (f"needlessly allowed: {' '.join(flow)}" for flow in sorted(allowed - needed))


def everything_else_is_denied(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        for direction in ("Ingress", "Egress"):
            if not any(
                direction in p["spec"]["policyTypes"] for p in _selecting(cluster, workload)
            ):
                yield f"{name(workload)}: {direction} is open"
    if not any(p["spec"]["podSelector"] == {} for p in cluster.of("NetworkPolicy")):
        yield "pods that no policy names are open"
    denied = cluster.named("NetworkPolicy", "deny-all")
    if denied is None or set(denied["spec"]["policyTypes"]) != {"Ingress", "Egress"}:
        yield "no policy denies everything first"
    if denied and (denied["spec"].get("ingress") or denied["spec"].get("egress")):
        yield "the policy that denies everything allows something"


def policies_say_what_they_govern(cluster: Cluster) -> Iterator[str]:
    for policy in cluster.of("NetworkPolicy"):
        spec = policy["spec"]
        for direction, rules in (("Ingress", "ingress"), ("Egress", "egress")):
            if rules in spec and direction not in spec["policyTypes"]:
                yield f"{name(policy)}: {rules} without {direction}"
        if "podSelector" not in spec:
            yield f"{name(policy)}: governs nothing"
        stores = policy["metadata"]["name"] in (*_STORES, "postgres")
        if stores and set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{name(policy)}: a store may talk to others"


def _needed(cluster: Cluster) -> Iterator[Flow]:
    database = "postgres" if cluster.named("Deployment", "postgres") else "10.0.0.0/8 but "
    for workload in cluster.workloads:
        who = component(workload)
        for protocol in ("UDP", "TCP"):
            yield who, "out", "kube-system/k8s-app=kube-dns", f"{protocol} 53"
        if who in (*product.PROCESSES, "migration"):
            yield who, "out", database, "TCP 5432"
            if database == "postgres":
                yield "postgres", "in", who, "TCP 5432"
        if who in product.PROCESSES:
            yield who, "in", "monitoring", f"TCP {product.METRICS_PORT}"
            for store, port in _STORES.items():
                yield who, "out", store, port
                yield store, "in", who, port
        if who in _TALK_TO_THE_WEB:
            yield who, "out", _WEB, "TCP 443"
            yield who, "out", _WEB, "TCP 80"
    yield "api", "in", "traefik", f"TCP {product.API_PORT}"
    if database == "postgres":
        yield "postgres", "in", "keda", "TCP 5432"


def _selecting(cluster: Cluster, workload: Object) -> list[Object]:
    return [
        policy
        for policy in cluster.of("NetworkPolicy")
        if _matches(policy["spec"]["podSelector"], pod_labels(workload))
    ]


def _flows(cluster: Cluster, workload: Object) -> Iterator[Flow]:
    for policy in _selecting(cluster, workload):
        for key, peers, way in (("ingress", "from", "in"), ("egress", "to", "out")):
            if key.capitalize() not in policy["spec"]["policyTypes"]:
                continue
            for rule in policy["spec"].get(key, []):
                for peer in _peers(cluster, rule.get(peers)):
                    for port in rule.get("ports") or [{"protocol": "any", "port": "any"}]:
                        yield (
                            component(workload),
                            way,
                            peer,
                            f"{port.get('protocol', 'TCP?')} {port.get('port', 'any')}",
                        )


def _peers(cluster: Cluster, peers: list[Any] | None) -> Iterator[str]:
    """Names of components, of namespaces, or addresses; no list at all is everybody."""
    for peer in peers or [{}]:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            yield f"{block['cidr']} but {' '.join(sorted(block.get('except', [])))}"
        elif "namespaceSelector" in peer:
            labels = peer["namespaceSelector"]["matchLabels"]
            inside = peer.get("podSelector", {}).get("matchLabels", {})
            pods = "".join(f"/{key}={value}" for key, value in inside.items())
            yield f"{labels['kubernetes.io/metadata.name']}{pods}"
        elif "podSelector" in peer:
            for workload in cluster.workloads:
                if _matches(peer["podSelector"], pod_labels(workload)):
                    yield component(workload)
        else:
            yield "everybody"


def _matches(selector: Any, labels: dict[str, str]) -> bool:
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In" or expression["key"] != COMPONENT:
            raise ValueError(f"selector {expression}")
        if labels[expression["key"]] not in expression["values"]:
            return False
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


RULES = (flows_are_those_needed, everything_else_is_denied, policies_say_what_they_govern)
