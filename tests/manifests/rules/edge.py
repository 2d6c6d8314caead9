"""Services and the way in."""

from __future__ import annotations

from collections.abc import Iterator

from tests.manifests import product
from tests.manifests.cluster import COMPONENT, Cluster, component, name, ports

_SERVICES = {
    "api": ({COMPONENT: "api"}, ("http", 80, "http")),
    "redis": ({COMPONENT: "redis"}, ("redis", 6379, "redis")),
    "chroma": ({COMPONENT: "chroma"}, ("http", 8000, "http")),
    "postgres": ({COMPONENT: "postgres"}, ("postgres", 5432, "postgres")),
    "internal": (
        {"ai-investment.internal/metrics": "true"},
        ("metrics", product.METRICS_PORT, "metrics"),
    ),
}


def services_lead_somewhere(cluster: Cluster) -> Iterator[str]:
    wanted = set(_SERVICES) - (set() if cluster.named("Deployment", "postgres") else {"postgres"})
    if wanted != {item["metadata"]["name"] for item in cluster.of("Service")}:
        yield "services are not those that are used"
    for service in cluster.of("Service"):
        selector, expected = _SERVICES[service["metadata"]["name"]]
        [port] = service["spec"]["ports"]
        if service["spec"]["selector"] != selector:
            yield f"{name(service)}: selects {service['spec']['selector']}"
        if (port["name"], port["port"], port["targetPort"]) != expected:
            yield f"{name(service)}: port {port}"
        pods = cluster.pods_with(service["spec"]["selector"])
        if not pods or any(port["targetPort"] not in ports(workload) for workload in pods):
            yield f"{name(service)}: leads to no port"
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{name(service)}: is open to the world"


def all_of_ours_are_watched(cluster: Cluster) -> Iterator[str]:
    service = cluster.named("Service", "internal")
    assert service is not None
    if service["spec"]["clusterIP"] != "None":
        yield f"{name(service)}: would show one pod at random"
    watched = {component(workload) for workload in cluster.pods_with(service["spec"]["selector"])}
    if watched != set(product.PROCESSES):
        yield f"{name(service)}: watches {sorted(watched)}"


def the_way_in_is_tls(cluster: Cluster) -> Iterator[str]:
    [ingress] = cluster.of("Ingress")
    spec, annotations = ingress["spec"], ingress["metadata"]["annotations"]
    [tls], [rule] = spec["tls"], spec["rules"]
    if tls["hosts"] != [rule["host"]] or tls["secretName"] != "api-tls":
        yield f"{name(ingress)}: a certificate for {tls['hosts']}, served is {rule['host']}"
    if spec["ingressClassName"] != "traefik":
        yield f"{name(ingress)}: no controller takes it"
    if annotations["traefik.ingress.kubernetes.io/router.entrypoints"] != "websecure":
        yield f"{name(ingress)}: is served without TLS"
    issuer = "selfsigned" if cluster.development else "letsencrypt"
    if annotations["cert-manager.io/cluster-issuer"] != issuer:
        yield f"{name(ingress)}: nobody issues its certificate"
    [path] = rule["http"]["paths"]
    backend = path["backend"]["service"]
    if (path["path"], path["pathType"]) != ("/", "Prefix"):
        yield f"{name(ingress)}: path {path}"
    service = cluster.named("Service", backend["name"])
    if service is None or backend["port"]["name"] not in [
        p["name"] for p in service["spec"]["ports"]
    ]:
        yield f"{name(ingress)}: leads to {backend}"
    if backend["name"] != "api":
        yield f"{name(ingress)}: shows {backend['name']}"


RULES = (services_lead_somewhere, all_of_ours_are_watched, the_way_in_is_tls)
