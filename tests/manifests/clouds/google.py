"""Google Cloud: Cloud Run services, worker pools and a job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.manifests.clouds import ALL, MIGRATION, probe_faults, settings_faults


def google_faults(name: str, app: Any) -> Iterator[str]:
    migration, worker = app["kind"] == "Job", app["kind"] == "WorkerPool"
    template = app["spec"]["template"]
    pod = template["spec"]["template"]["spec"] if migration else template["spec"]
    [container] = pod["containers"]
    if app["metadata"]["name"] != name or container["image"] != "IMAGE":
        yield f"{name}: name or image"
    api = {
        "Job": "run.googleapis.com/v1",
        "WorkerPool": "run.googleapis.com/v1",
        "Service": "serving.knative.dev/v1",
    }
    if app["apiVersion"] != api[app["kind"]]:
        yield f"{name}: {app['apiVersion']}"
    wanted = {
        "api": ["serve"],
        "migration": ["db", "upgrade"],
        "chroma": ["run", "--path", "/data", "--host", "0.0.0.0", "--port", "8000"],
    }
    if container["args"] != wanted.get(name, ["worker", name]):
        yield f"{name}: runs {container['args']}"
    if container["name"] != ("worker" if worker else name) or (
        name == "chroma" and container["command"] != ["chroma"]
    ):
        yield f"{name}: container"
    if (
        not pod["serviceAccountName"].startswith("ai-investment@")
        or not container["resources"]["limits"]["cpu"]
    ):
        yield f"{name}: account or size"
    if not re.fullmatch(r"\d+[MG]i", container["resources"]["limits"]["memory"]):
        yield f"{name}: memory"
    if name != "chroma":
        environment = {item["name"]: item["value"] for item in container["env"]}
        yield from settings_faults(name, environment, MIGRATION if migration else ALL)
        files = {value for key, value in environment.items() if key.endswith("_FILE")}
        yield from _google_secrets(name, pod, container, files)
    yield from _google_network(name, template["metadata"]["annotations"])
    if migration:
        spec = template["spec"]
        if spec["taskCount"] != 1 or spec["template"]["spec"]["maxRetries"] != 1:
            yield "migration: more than once"
        if not 300 <= int(spec["template"]["spec"]["timeoutSeconds"]) <= 900:
            yield "migration: time"
        return
    for kind in ("startupProbe", "livenessProbe"):
        yield from probe_faults(name, container[kind], public=name == "api")
    yield from _google_service(name, app, template, pod, container)


def _google_network(name: str, annotations: dict[str, str]) -> Iterator[str]:
    if '"network": "ai-investment"' not in annotations["run.googleapis.com/network-interfaces"]:
        yield f"{name}: not in the network of its stores"
    if (
        name != "chroma"
        and annotations["run.googleapis.com/vpc-access-egress"] != "private-ranges-only"
    ):
        yield f"{name}: egress"


def _google_secrets(name: str, pod: Any, container: Any, files: set[str]) -> Iterator[str]:
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    found = set()
    for volume in pod["volumes"]:
        if secret := volume.get("secret"):
            [item] = secret["items"]
            if secret["secretName"] != volume["name"] or item["key"] != "latest":
                yield f"{name}: {volume['name']}"
            found.add(f"{mounts[volume['name']]}/{item['path']}")
        elif volume["name"] not in mounts:
            yield f"{name}: {volume['name']} is not mounted"
    if found != files:
        yield f"{name}: secrets {sorted(found)}"


def _google_service(name: str, app: Any, template: Any, pod: Any, container: Any) -> Iterator[str]:
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    data = "vectors" if name == "chroma" else "objects"
    if (
        mounts[data] != "/data"
        or volumes[data]["nfs"]["path"] != f"/{data}"
        or not volumes[data]["nfs"]["server"]
    ):
        yield f"{name}: its data is not kept"
    if mounts["tmp"] != "/tmp" or volumes["tmp"]["emptyDir"] != {
        "medium": "Memory",
        "sizeLimit": "128Mi",
    }:
        yield f"{name}: no place to write"
    annotations = app["metadata"]["annotations"]
    if app["kind"] == "WorkerPool":
        if (
            int(annotations["run.googleapis.com/manualInstanceCount"]) < 1
            or annotations["run.googleapis.com/launch-stage"] != "BETA"
        ):
            yield f"{name}: not started"
        return
    ingress = {"api": "internal-and-cloud-load-balancing", "chroma": "internal"}[name]
    if annotations["run.googleapis.com/ingress"] != ingress:
        yield f"{name}: is open to the world"
    if name == "chroma" and annotations["run.googleapis.com/invoker-iam-disabled"] != "true":
        yield "chroma: refuses its clients"
    scale = template["metadata"]["annotations"]
    bounds = (
        int(scale["autoscaling.knative.dev/minScale"]),
        int(scale["autoscaling.knative.dev/maxScale"]),
    )
    if (
        bounds != {"api": (2, 10), "chroma": (1, 1)}[name]
        or scale["run.googleapis.com/cpu-throttling"] != "false"
    ):
        yield f"{name}: scales {bounds}"
    if (
        container["ports"] != [{"name": "http1", "containerPort": 8000}]
        or pod["containerConcurrency"] < 100
    ):
        yield f"{name}: port or concurrency"
    if pod["timeoutSeconds"] < (3600 if name == "api" else 30):
        yield f"{name}: streams are cut"
