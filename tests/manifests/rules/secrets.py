"""Settings and secrets: every name exists on both sides, every file is where a setting looks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.cluster import Cluster, component, container, name, pod
from tests.manifests.render import Object

_MOUNTED = {
    "DATABASE_URL_FILE": "postgresql://u:p@h/n",
    "REDIS_URL_FILE": "redis://:p@redis:6379/0",
    "SECRET_KEY_FILE": "s" * 32,
    "JWT_SECRET_KEY_FILE": "j" * 32,
    "OPENAI_API_KEY_FILE": "",
}
_NEEDED = {
    "api": {*_MOUNTED, "AI_INVESTMENT_ENVIRONMENT", "CHROMA_URL", "LOG_LEVEL", "OPENAI_MODEL"},
    "migration": {"DATABASE_URL_FILE", "SECRET_KEY_FILE", "JWT_SECRET_KEY_FILE", "AI_INVESTMENT_ENVIRONMENT"},
}  # fmt: skip
_POSTGRES = {
    "POSTGRES_USER": "ai_investment",
    "POSTGRES_DB": "ai_investment",
    "POSTGRES_PASSWORD_FILE": "/run/secrets/ai-investment/database_password",
    "PGDATA": "/var/lib/postgresql/data/pgdata",
}


def settings_exist_and_hold(cluster: Cluster) -> Iterator[str]:
    for workload in [*cluster.ours, *cluster.of("Job")]:
        environment = _environment(cluster, workload)
        for unknown in sorted(key for key in environment if not product.is_setting(key)):
            yield f"{name(workload)}: there is no setting {unknown}"
        needed = _NEEDED.get(component(workload), _NEEDED["api"])
        for missing in sorted(needed - environment.keys()):
            yield f"{name(workload)}: {missing} is not set"
        for fault in product.environment_faults(environment, _MOUNTED):
            yield f"{name(workload)}: {fault}"
    if cluster.settings["CHROMA_URL"] != "http://chroma:8000":
        yield "CHROMA_URL is not the Service"


def _environment(cluster: Cluster, workload: Object) -> dict[str, str]:
    values: dict[str, str] = {}
    for source in container(workload).get("envFrom", []):
        data = cluster.named("ConfigMap", source["configMapRef"]["name"])
        if data is None:
            raise KeyError(f"no ConfigMap {source['configMapRef']['name']}")
        values |= data["data"]
    return values | {item["name"]: item["value"] for item in container(workload).get("env", [])}


def the_database_image_is_told(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.of("Deployment"):
        if component(workload) == "postgres" and _environment(cluster, workload) != _POSTGRES:
            yield f"{name(workload)}: its environment"


def files_are_where_settings_look(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        files = dict(_secret_files(cluster, workload))
        for key, path in _environment(cluster, workload).items():
            if key.endswith("_FILE") and path not in files:
                yield f"{name(workload)}: {key} is {path}, which is not mounted"
        if component(workload) == "redis":
            yield from _redis(cluster, workload, files)


def _redis(cluster: Cluster, workload: Object, files: dict[str, str]) -> Iterator[str]:
    [configuration] = [
        item["data"]["redis.conf"]
        for item in cluster.of("ConfigMap")
        if item["metadata"]["name"].startswith("redis-")
    ]
    mounts = {mount["name"]: mount for mount in container(workload)["volumeMounts"]}
    if f"{mounts['configuration']['mountPath']}/redis.conf" != container(workload)["args"][0]:
        yield f"{name(workload)}: its configuration is elsewhere"
    for line in ("appendonly yes", "maxmemory-policy noeviction", "dir /data", "maxmemory 384mb"):
        if line not in configuration.splitlines():
            yield f"{name(workload)}: not {line}"
    if not any(f"include {path}" in configuration.splitlines() for path in files):
        yield f"{name(workload)}: no password"


def _secret_files(cluster: Cluster, workload: Object) -> Iterator[tuple[str, str]]:
    """(path, key) of every file that a mounted secret gives."""
    for volume in pod(workload)["volumes"]:
        if "secret" not in volume:
            continue
        keys = keys_of(cluster, volume["secret"]["secretName"])
        [mount] = [m for m in container(workload)["volumeMounts"] if m["name"] == volume["name"]]
        for item in volume["secret"]["items"]:
            if item["key"] in keys:
                yield f"{mount['mountPath']}/{item['path']}", item["key"]


def keys_of(cluster: Cluster, secret: str) -> set[str]:
    """Keys of a Secret that stands in the manifests, or that External Secrets will make."""
    if found := cluster.named("Secret", secret):
        return set(found["data"])
    for item in cluster.of("ExternalSecret"):
        if item["spec"]["target"]["name"] == secret:
            template = item["spec"]["target"].get("template", {}).get("data", {})
            return set(template) | {part["secretKey"] for part in item["spec"].get("data", [])}
    raise KeyError(f"no Secret {secret}")


def secret_volumes_are_closed(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        mounts = {mount["name"]: mount for mount in container(workload)["volumeMounts"]}
        for volume in pod(workload)["volumes"]:
            mount = mounts[volume["name"]]
            if "secret" in volume:
                if volume["secret"]["defaultMode"] != 0o440:
                    yield f"{name(workload)}: others may read {volume['name']}"
                if {item["key"] for item in volume["secret"]["items"]} - keys_of(
                    cluster, volume["secret"]["secretName"]
                ):
                    yield f"{name(workload)}: {volume['name']} has a key that does not exist"
            if ("secret" in volume or "configMap" in volume) and mount["readOnly"] is not True:
                yield f"{name(workload)}: may write {volume['name']}"


def volumes_exist_and_are_used(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.workloads:
        volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
        mounts = {
            mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]
        }
        if volumes.keys() != mounts.keys():
            yield f"{name(workload)}: volumes {sorted(volumes)}, mounts {sorted(mounts)}"
        for volume in volumes.values():
            yield from _source(cluster, workload, volume)
        places = set(mounts.values())
        if component(workload) not in ("redis", "migration") and "/tmp" not in places:
            yield f"{name(workload)}: no place to write"
        data = {"postgres": "/var/lib/postgresql/data"}.get(component(workload), product.DATA)
        if workload["kind"] == "Deployment" and data not in places:
            yield f"{name(workload)}: its data is not kept"
        if component(workload) == "postgres" and "/var/run/postgresql" not in places:
            yield f"{name(workload)}: no place for its socket"


def _source(cluster: Cluster, workload: Object, volume: Any) -> Iterator[str]:
    if claim := volume.get("persistentVolumeClaim"):
        wanted = component(workload) if workload not in cluster.ours else "objects"
        if claim["claimName"] != wanted or cluster.named("PersistentVolumeClaim", wanted) is None:
            yield f"{name(workload)}: claim {claim['claimName']}"
    elif "emptyDir" in volume:
        if not volume["emptyDir"]["sizeLimit"].endswith("Mi"):
            yield f"{name(workload)}: {volume['name']} may fill the node"
    elif "configMap" in volume:
        if cluster.named("ConfigMap", volume["configMap"]["name"]) is None:
            yield f"{name(workload)}: no ConfigMap {volume['configMap']['name']}"
    elif "secret" not in volume:
        yield f"{name(workload)}: {volume['name']} has no source"


_SECRET_KEYS = {"database_url", "secret_key", "jwt_secret_key", "openai_api_key", "redis_url", "redis.conf"}  # fmt: skip


def secrets_come_from_the_manager(cluster: Cluster) -> Iterator[str]:
    """Outside development nothing secret stands in a manifest."""
    if cluster.development:
        yield from _made_for_development(cluster)
        return
    if cluster.of("Secret"):
        yield "a Secret stands in the manifests"
    if missing := _SECRET_KEYS - keys_of(cluster, "ai-investment"):
        yield f"no {sorted(missing)}"
    for item in cluster.of("ExternalSecret"):
        spec = item["spec"]
        store, target = spec["secretStoreRef"], spec["target"]
        if (store["kind"], store["name"]) != ("ClusterSecretStore", "ai-investment"):
            yield f"{name(item)}: store {store}"
        if spec["refreshInterval"] != "1h0m0s" or target["name"] != item["metadata"]["name"]:
            yield f"{name(item)}: how it is kept"
        if (target["creationPolicy"], target["deletionPolicy"]) != ("Owner", "Retain"):
            yield f"{name(item)}: a lost entry would delete the Secret"
        yield from _remote(item)


def _made_for_development(cluster: Cluster) -> Iterator[str]:
    for key in sorted((_SECRET_KEYS | {"database_password"}) - keys_of(cluster, "ai-investment")):
        yield f"development: no {key}"
    if "connection" not in keys_of(cluster, "scaler"):
        yield "development: no connection for KEDA"
    for secret in cluster.of("Secret"):
        if secret["type"] != "Opaque":
            yield f"{name(secret)}: type"


def _remote(item: Object) -> Iterator[str]:
    spec = item["spec"]
    keys = [part["extract"]["key"] for part in spec.get("dataFrom", [])]
    for part in spec.get("data", []):
        keys.append(part["remoteRef"]["key"])
        if part["remoteRef"]["property"] != part["secretKey"]:
            yield f"{name(item)}: property {part['remoteRef']['property']}"
    if len(keys) != 1 or not keys[0].startswith("ai-investment/"):
        yield f"{name(item)}: comes from {keys}"
    if template := spec["target"].get("template"):
        if template["engineVersion"] != "v2":
            yield f"{name(item)}: template"
        for key, text in template["data"].items():
            source = "redis_password" if key.startswith("redis") else key
            if f"{{{{ .{source} }}}}" not in text:
                yield f"{name(item)}: {key} is {text}"


RULES = (
    settings_exist_and_hold, the_database_image_is_told, files_are_where_settings_look, secret_volumes_are_closed,
    volumes_exist_and_are_used, secrets_come_from_the_manager,
)  # fmt: skip
