"""What every object has, and the small ones: namespace, account, claims."""

from __future__ import annotations

from collections.abc import Iterator

from tests.manifests.cluster import NAMESPACE, OURS, Cluster, name

_WAVES = {"Job": "-1"}
_WORKLOADS = ("api", "answers", "embeddings", "pipeline", "delivery", "scheduler")
_IDENTITY = {"app.kubernetes.io/name": OURS, "app.kubernetes.io/part-of": "ai-investment"}
# What must be there so that the rest makes sense: a missing object is the largest deletion.
_KINDS = {
    "Namespace", "ServiceAccount", "ConfigMap", "Service", "Deployment", "Job", "PersistentVolumeClaim",
    "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler", "ScaledObject", "TriggerAuthentication",
    "Ingress", "ServiceMonitor", "PrometheusRule",
}  # fmt: skip


def nothing_is_missing(cluster: Cluster) -> Iterator[str]:
    for kind in sorted(_KINDS - {item["kind"] for item in cluster.items}):
        yield f"no {kind}"
    deployed = {item["metadata"]["name"] for item in cluster.of("Deployment")}
    for wanted in (*_WORKLOADS, "redis", "chroma"):
        if wanted not in deployed:
            yield f"no Deployment {wanted}"


def objects_say_whose_they_are(cluster: Cluster) -> Iterator[str]:
    for item in cluster.items:
        metadata = item["metadata"]
        if item["kind"] == "Namespace":
            if metadata["name"] != NAMESPACE:
                yield f"{name(item)}: is not {NAMESPACE}"
        elif metadata["namespace"] != NAMESPACE:
            yield f"{name(item)}: is in {metadata['namespace']}"
        if not _IDENTITY.items() <= metadata["labels"].items():
            yield f"{name(item)}: labels do not say whose it is"


def the_order_of_a_sync(cluster: Cluster) -> Iterator[str]:
    """Argo CD: secrets and stores (-2), migration (-1), rollout (0)."""
    waves = {"foundation": "-2", "migration": "-1", "workloads": None}
    for item in cluster.items:
        wave = item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave")
        if wave != waves[_layer(item)]:
            yield f"{name(item)}: wave {wave}, not {waves[_layer(item)]}"


def _layer(item: dict[str, object]) -> str:
    metadata = item["metadata"]
    assert isinstance(metadata, dict)
    if item["kind"] == "Job":
        return "migration"
    foundation = {
        "Namespace",
        "ServiceAccount",
        "ExternalSecret",
        "Secret",
        "PersistentVolumeClaim",
    }
    stores = metadata["name"].split("-")[0] in ("redis", "chroma", "postgres")
    if item["kind"] in foundation | {"NetworkPolicy"} or stores:
        return "foundation"
    return "workloads"


def the_namespace_admits_only_restricted_pods(cluster: Cluster) -> Iterator[str]:
    [namespace] = cluster.of("Namespace")
    for mode in ("enforce", "warn"):
        if namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] != "restricted":
            yield f"{name(namespace)}: does not {mode} restricted pods"


def the_account_has_no_token(cluster: Cluster) -> Iterator[str]:
    for account in cluster.of("ServiceAccount"):
        if account["automountServiceAccountToken"] is not False:
            yield f"{name(account)}: mounts a token"


def claims_keep_their_data(cluster: Cluster) -> Iterator[str]:
    for claim in cluster.of("PersistentVolumeClaim"):
        spec, annotations = claim["spec"], claim["metadata"]["annotations"]
        if annotations["argocd.argoproj.io/sync-options"] != "Prune=false":
            yield f"{name(claim)}: Argo CD would prune data"
        if annotations["kustomize.toolkit.fluxcd.io/prune"] != "disabled":
            yield f"{name(claim)}: Flux would prune data"
        if not spec["resources"]["requests"]["storage"].endswith("Gi"):
            yield f"{name(claim)}: no size"
        shared = claim["metadata"]["name"] == "objects" and not cluster.development
        if spec["accessModes"] != ["ReadWriteMany" if shared else "ReadWriteOnce"]:
            yield f"{name(claim)}: access {spec['accessModes']}"
        if shared and not spec["storageClassName"]:
            yield f"{name(claim)}: no class that offers ReadWriteMany"


RULES = (
    nothing_is_missing,
    objects_say_whose_they_are,
    the_order_of_a_sync,
    the_namespace_admits_only_restricted_pods,
    the_account_has_no_token,
    claims_keep_their_data,
)
