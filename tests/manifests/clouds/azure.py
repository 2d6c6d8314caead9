"""Azure: Container Apps, one file for each process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.clouds import ALL, MIGRATION, probe_faults, settings_faults


def azure_faults(name: str, app: Any) -> Iterator[str]:
    properties = app["properties"]
    [container] = properties["template"]["containers"]
    migration, chroma = name == "migration", name == "chroma"
    wanted = {"api": ["serve"], "migration": ["db", "upgrade"]}.get(name, ["worker", name])
    if chroma:
        wanted = ["run", "--path", "/data", "--host", "0.0.0.0", "--port", "8000"]
        if container["command"] != ["chroma"]:
            yield "chroma: command"
    if container["args"] != wanted or container["name"] != name or container["image"] != "IMAGE":
        yield f"{name}: runs {container['args']}"
    resources = container["resources"]
    if not 0.25 <= resources["cpu"] <= 4 or resources["memory"] != f"{resources['cpu'] * 2:g}Gi":
        yield f"{name}: Container Apps offers 2 GiB for each processor, not {resources}"
    if (
        app["type"] != f"Microsoft.App/{'jobs' if migration else 'containerApps'}"
        or app["location"] != "LOCATION"
    ):
        yield f"{name}: kind or place"
    if properties["workloadProfileName"] != "Consumption":
        yield f"{name}: profile"
    if properties["environmentId" if migration else "managedEnvironmentId"] != "ENVIRONMENT":
        yield f"{name}: environment"
    yield from _azure_volumes(name, properties["template"], container)
    if chroma:
        yield from _azure_ingress(name, properties["configuration"], external=False)
    else:
        if app["identity"] != {"type": "UserAssigned", "userAssignedIdentities": {"IDENTITY": {}}}:
            yield f"{name}: may not read the vault"
        environment = {item["name"]: item["value"] for item in container["env"]}
        yield from settings_faults(name, environment, MIGRATION if migration else ALL)
        yield from _azure_secrets(name, properties["configuration"], environment)
    if migration:
        yield from _azure_job(properties["configuration"])
        return
    yield from _azure_probes(name, container)
    if properties["configuration"]["activeRevisionsMode"] != "Single":
        yield f"{name}: old revisions run on"
    if not chroma and properties["configuration"]["maxInactiveRevisions"] < 2:
        yield f"{name}: no release to go back to"
    grace = properties["template"]["terminationGracePeriodSeconds"]
    if grace < 30 or (not chroma and grace <= product.GRACE_SECONDS):
        yield f"{name}: {grace} s to end"
    yield from _azure_scale(name, properties)


def _azure_job(configuration: Any) -> Iterator[str]:
    if (
        configuration["triggerType"] != "Manual"
        or not 300 <= configuration["replicaTimeout"] <= 900
    ):
        yield "migration: trigger or time"
    if configuration["replicaRetryLimit"] != 1:
        yield "migration: retries"
    if configuration["manualTriggerConfig"] != {"parallelism": 1, "replicaCompletionCount": 1}:
        yield "migration: more than one at once"


def _azure_ingress(name: str, configuration: Any, *, external: bool) -> Iterator[str]:
    ingress = configuration["ingress"]
    if (
        ingress["external"] is not external
        or ingress["targetPort"] != 8000
        or ingress["transport"] != "http"
    ):
        yield f"{name}: ingress {ingress}"
    if ingress["allowInsecure"] is external:
        yield f"{name}: HTTP"


def _azure_probes(name: str, container: Any) -> Iterator[str]:
    probes = {probe["type"]: probe for probe in container["probes"]}
    wanted = {"Startup", "Liveness"} | (set() if name == "chroma" else {"Readiness"})
    if set(probes) != wanted:
        yield f"{name}: probes {sorted(probes)}"
    for probe in probes.values():
        yield from probe_faults(name, probe, public=name == "api")
        if probe["timeoutSeconds"] <= product.PROBE_SECONDS:
            yield f"{name}: gives up before the process answers that it hangs"
    if name == "api" and probes["Readiness"]["httpGet"]["path"] != "/health/ready":
        yield "api: gets requests while it drains"


def _azure_secrets(name: str, configuration: Any, environment: dict[str, str]) -> Iterator[str]:
    secrets = {item["name"]: item for item in configuration["secrets"]}
    for secret, item in secrets.items():
        if (
            item["keyVaultUrl"] != f"https://VAULT.vault.azure.net/secrets/{secret}"
            or item["identity"] != "IDENTITY"
        ):
            yield f"{name}: {secret} from elsewhere"
    mounted = {f"/secrets/{secret}" for secret in secrets if secret != "scaler"}
    if mounted != {value for key, value in environment.items() if key.endswith("_FILE")}:
        yield f"{name}: secrets {sorted(mounted)}"


def _azure_volumes(name: str, template: Any, container: Any) -> Iterator[str]:
    kinds = {volume["name"]: volume for volume in template["volumes"]}
    mounts = {mount["volumeName"]: mount["mountPath"] for mount in container["volumeMounts"]}
    wanted = {"objects": "/data", "tmp": "/tmp", "secrets": "/secrets"}
    if name == "chroma":
        wanted = {"vectors": "/data", "tmp": "/tmp"}
    elif name == "migration":
        wanted = {"secrets": "/secrets"}
    if mounts != wanted or kinds.keys() != wanted.keys():
        yield f"{name}: mounts {mounts}"
    types = {"objects": "AzureFile", "vectors": "AzureFile", "tmp": "EmptyDir", "secrets": "Secret"}
    for volume, content in kinds.items():
        if content["storageType"] != types[volume]:
            yield f"{name}: {volume} is {content['storageType']}"
        if content["storageType"] == "AzureFile" and (
            content["storageName"] != volume or "uid=10001,gid=10001" not in content["mountOptions"]
        ):
            yield f"{name}: cannot write {volume}"


def _azure_scale(name: str, properties: Any) -> Iterator[str]:
    if name == "api":
        yield from _azure_ingress(name, properties["configuration"], external=True)
    scale = properties["template"]["scale"]
    low, high = scale["minReplicas"], scale["maxReplicas"]
    if name in ("chroma", "scheduler"):
        if (low, high) != ((1, 1) if name == "chroma" else (2, 2)):
            yield f"{name}: {low} to {high}"
        return
    if not 1 <= low < high <= 10:
        yield f"{name}: {low} to {high}"
    if name == "api":
        kinds = {rule["name"]: rule for rule in scale["rules"]}
        utilization = {kind: kinds[kind]["custom"] for kind in ("cpu", "memory")}
        if int(kinds["requests"]["http"]["metadata"]["concurrentRequests"]) < 100 or low < 2:
            yield "api: streams count as requests"
        for kind, custom in utilization.items():
            target = custom["metadata"]
            if (
                custom["type"] != kind
                or target["type"] != "Utilization"
                or not 50 <= int(target["value"]) <= 90
            ):
                yield f"api: scales by {custom}"
        return
    [rule] = scale["rules"]
    custom = rule["custom"]
    if (
        rule["name"] != "jobs"
        or custom["type"] != "postgresql"
        or scale["pollingInterval"] != 15
        or scale["cooldownPeriod"] < 300
    ):
        yield f"{name}: scales by {rule}"
    if custom["auth"] != [{"secretRef": "scaler", "triggerParameter": "connection"}]:
        yield f"{name}: KEDA cannot ask"
    if "scaler" not in [item["name"] for item in properties["configuration"]["secrets"]]:
        yield f"{name}: no connection for KEDA"
    if set(re.findall(r"queue = '(\w+)'", custom["metadata"]["query"])) != {name}:
        yield f"{name}: counts another's jobs"
    if not 0 < int(custom["metadata"]["targetQueryValue"]) <= product.slots(name):
        yield f"{name}: a replica takes {product.slots(name)} at once"
