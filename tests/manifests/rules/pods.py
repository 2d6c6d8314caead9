"""Workloads: what runs, as whom, with what, and how it is known to live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.cluster import (
    COMPONENT,
    OURS,
    Cluster,
    component,
    container,
    name,
    pod,
    pod_labels,
    ports,
)
from tests.manifests.render import Object

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_SPREAD = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
# How long a process may take to start before it is restarted: loading the model takes seconds.
_START_SECONDS = 60


def selectors_match_their_pods(cluster: Cluster) -> Iterator[str]:
    seen: set[str] = set()
    for workload in cluster.of("Deployment"):
        wanted = workload["spec"]["selector"]["matchLabels"]
        if not wanted.items() <= pod_labels(workload).items() or COMPONENT not in wanted:
            yield f"{name(workload)}: selector and labels differ"
        if component(workload) != workload["metadata"]["name"] or component(workload) in seen:
            yield f"{name(workload)}: its component is {component(workload)}"
        if container(workload)["name"] != component(workload):
            yield f"{name(workload)}: its container is {container(workload)['name']}"
        seen.add(component(workload))


def pods_say_whose_they_are(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        labels = pod_labels(workload)
        if (labels["app.kubernetes.io/name"], labels["app.kubernetes.io/part-of"]) != (
            OURS,
            "ai-investment",
        ):
            yield f"{name(workload)}: pod labels do not say whose it is"


def rollouts_leave_no_gap(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.of("Deployment"):
        spec = workload["spec"]
        if workload in cluster.ours:
            rolling = spec["strategy"]["rollingUpdate"]
            if spec["strategy"]["type"] != "RollingUpdate" or rolling["maxUnavailable"] != 0:
                yield f"{name(workload)}: a rollout takes processes away"
            if rolling["maxSurge"] != "25%":
                yield f"{name(workload)}: the pools are counted with a surge of 25%"
            if spec["minReadySeconds"] < 5 or spec["progressDeadlineSeconds"] < 120:
                yield f"{name(workload)}: a rollout does not wait, or gives up too soon"
            if not 2 <= spec["revisionHistoryLimit"] <= 10:
                yield f"{name(workload)}: no release to go back to"
        elif spec["strategy"]["type"] != "Recreate" or spec["replicas"] != 1:
            yield f"{name(workload)}: two would write into one folder"


def images_are_pinned(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        image = container(workload)["image"]
        ours = OURS in image
        if ":latest" in image or (not _DIGEST.search(image) and not (ours and cluster.development)):
            yield f"{name(workload)}: {image} is not pinned by a digest"
        if ours != (component(workload) not in ("redis", "postgres")):
            yield f"{name(workload)}: {image} is another's"
    used = {container(w)["image"] for w in cluster.workloads if OURS in container(w)["image"]}
    if len(used) != 1:
        yield f"more than one release at once: {sorted(used)}"


def commands_exist(cluster: Cluster) -> Iterator[str]:
    wanted = {"api": ["serve"], "migration": ["db", "upgrade"]}
    wanted |= {worker: ["worker", worker] for worker in product.WORKERS}
    for workload in cluster.workloads:
        words = container(workload)["args"]
        if component(workload) not in wanted:
            yield from _stores_command(workload, words)
        elif words != wanted[component(workload)]:
            yield f"{name(workload)}: {words} is not its command"
        elif fault := product.command_fault(words):
            yield f"{name(workload)}: {words}: {fault}"


def _stores_command(workload: Object, words: list[str]) -> Iterator[str]:
    chroma = ["run", "--path", product.DATA, "--host", "0.0.0.0", "--port", "8000"]
    expected = {
        "redis": (["redis-server"], ["/etc/redis/redis.conf"]),
        "chroma": (["chroma"], chroma),
        "postgres": (None, ["postgres", "-c", words[-1]]),
    }
    if (container(workload).get("command"), words) != expected[component(workload)]:
        yield f"{name(workload)}: starts {words}"


def pods_have_no_rights(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        spec, context = pod(workload), pod(workload)["securityContext"]
        locked = container(workload)["securityContext"]
        number = 10001 if OURS in container(workload)["image"] else 999
        if (
            context["runAsNonRoot"] is not True
            or context["seccompProfile"]["type"] != "RuntimeDefault"
        ):
            yield f"{name(workload)}: may run as root, or calls are not filtered"
        if {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} != {number}:
            yield f"{name(workload)}: is not {number}"
        claims = any("persistentVolumeClaim" in volume for volume in spec["volumes"])
        if claims and context["fsGroupChangePolicy"] != "OnRootMismatch":
            yield f"{name(workload)}: every start walks its volume"
        if locked["allowPrivilegeEscalation"] is not False or locked["capabilities"]["drop"] != [
            "ALL"
        ]:
            yield f"{name(workload)}: may gain rights"
        if locked["readOnlyRootFilesystem"] is not True:
            yield f"{name(workload)}: may write its root"
        if (
            spec["automountServiceAccountToken"] is not False
            or spec["enableServiceLinks"] is not False
        ):
            yield f"{name(workload)}: gets a token, or variables named after Services"
        if cluster.named("ServiceAccount", spec["serviceAccountName"]) is None:
            yield f"{name(workload)}: no account {spec['serviceAccountName']}"


def pods_have_limits(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        resources = container(workload)["resources"]
        wants, may = _bytes(resources["requests"]["memory"]), _bytes(resources["limits"]["memory"])
        if not 0 < wants <= may or not re.match(r"^\d+m?$", str(resources["requests"]["cpu"])):
            yield f"{name(workload)}: resources {resources}"


def _bytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", size).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


def processes_have_time_to_end(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.of("Deployment"):
        grace = pod(workload)["terminationGracePeriodSeconds"]
        if workload not in cluster.ours:
            if grace < 30:
                yield f"{name(workload)}: {grace} s to end"
            continue
        sleep = 0
        if component(workload) == "api":
            sleep = container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
            if sleep < 5:
                yield f"{name(workload)}: ends before proxies know"
        if grace <= sleep + product.GRACE_SECONDS:
            yield f"{name(workload)}: {grace} s are not above {sleep} + {product.GRACE_SECONDS}"


def probes_ask_what_exists(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.of("Deployment"):
        only = container(workload)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = only[kind]
            if not _is_answered(workload, probe):
                yield f"{name(workload)}: nothing answers its {kind}"
            if probe["timeoutSeconds"] <= product.PROBE_SECONDS:
                yield f"{name(workload)}: {kind} gives up before the process answers that it hangs"
            if not 1 <= probe["failureThreshold"] * probe["periodSeconds"] <= 240:
                yield f"{name(workload)}: {kind}"
        start, live, ready = only["startupProbe"], only["livenessProbe"], only["readinessProbe"]
        if start["failureThreshold"] * start["periodSeconds"] < _START_SECONDS:
            yield f"{name(workload)}: has less than {_START_SECONDS} s to start"
        if live["failureThreshold"] * live["periodSeconds"] < 60 or live["periodSeconds"] < 10:
            yield f"{name(workload)}: is restarted after a hiccup"
        if ready["failureThreshold"] * ready["periodSeconds"] > 15:
            yield f"{name(workload)}: gets traffic long after it is unready"
        if component(workload) == "api" and ready["httpGet"]["path"] != "/health/ready":
            yield f"{name(workload)}: gets traffic while it drains"


def _is_answered(workload: Object, probe: Any) -> bool:
    if command := probe.get("exec", {}).get("command"):
        words = " ".join(command)
        expected = {"redis": "sh -c redis-cli ping", "postgres": "pg_isready -h 127.0.0.1 -U"}
        return words.startswith(expected[component(workload)]) and (
            "PONG|NOAUTH" in words or words.endswith("-U ai_investment -d ai_investment")
        )
    port = ports(workload)[probe["httpGet"]["port"]]
    if component(workload) == "chroma":
        return (port, probe["httpGet"]["path"]) == (8000, product.CHROMA_HEARTBEAT)
    paths = product.INTERNAL_PATHS if port == product.METRICS_PORT else product.public_paths()
    return probe["httpGet"]["path"] in paths


def ports_are_those_that_listen(cluster: Cluster) -> Iterator[str]:
    expected = {
        "api": {"http": product.API_PORT, "metrics": product.METRICS_PORT},
        "redis": {"redis": 6379},
        "chroma": {"http": 8000},
        "postgres": {"postgres": 5432},
        "migration": {},
    }
    for workload in cluster.workloads:
        wanted = expected.get(component(workload), {"metrics": product.METRICS_PORT})
        if ports(workload) != wanted:
            yield f"{name(workload)}: ports {ports(workload)}, listens on {wanted}"


def replicas_are_apart(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.ours:
        spread = {part["topologyKey"]: part for part in pod(workload)["topologySpreadConstraints"]}
        for key in _SPREAD:
            part = spread[key]
            if part["labelSelector"]["matchLabels"] != {COMPONENT: component(workload)}:
                yield f"{name(workload)}: is spread with others"
            if (part["maxSkew"], part["whenUnsatisfiable"]) != (1, "ScheduleAnyway"):
                yield f"{name(workload)}: spread {part}"


def the_migration_runs_once_before(cluster: Cluster) -> Iterator[str]:
    [job] = cluster.of("Job")
    if job["metadata"]["name"] != "migrate":
        yield f"{name(job)}: beside the last release's, not in its place"
    annotations, spec = job["metadata"]["annotations"], job["spec"]
    if annotations["argocd.argoproj.io/hook"] != "Sync":
        yield f"{name(job)}: is no hook"
    if annotations["argocd.argoproj.io/hook-delete-policy"] != "BeforeHookCreation":
        yield f"{name(job)}: a Job cannot be changed"
    if not 1 <= spec["backoffLimit"] <= 5 or not 300 <= spec["activeDeadlineSeconds"] <= 900:
        yield f"{name(job)}: tries for ever, or not at all"
    if pod(job)["restartPolicy"] != "Never":
        yield f"{name(job)}: its logs vanish"


RULES = (
    selectors_match_their_pods, pods_say_whose_they_are, rollouts_leave_no_gap, images_are_pinned, commands_exist,
    pods_have_no_rights, pods_have_limits, processes_have_time_to_end, probes_ask_what_exists,
    ports_are_those_that_listen, replicas_are_apart, the_migration_runs_once_before,
)  # fmt: skip
