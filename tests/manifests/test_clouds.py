"""AWS, Google Cloud and Azure: valid where a validator exists, and in agreement with the product everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from tests.house.exposure import _Tolerant
from tests.manifests import product
from tests.manifests.mutants import paths, without
from tests.manifests.render import GITOPS

CLOUD = GITOPS / "cloud"
QUEUED = tuple(worker for worker in product.WORKERS if worker != "scheduler")
_FILES = {
    "DATABASE_URL_FILE": "postgresql://u:p@h/n", "REDIS_URL_FILE": "rediss://:p@h:6380/0", "SECRET_KEY_FILE": "s" * 32,
    "JWT_SECRET_KEY_FILE": "j" * 32, "OPENAI_API_KEY_FILE": "",
}  # fmt: skip


@cache
def load(name: str) -> Any:
    return yaml.load((CLOUD / name).read_text(), Loader=_Tolerant)


def settings_faults(who: str, environment: dict[str, str], needed: set[str]) -> Iterator[str]:
    for name in environment:
        if not product.is_setting(name):
            yield f"{who}: there is no setting {name}"
    if missing := needed - environment.keys():
        yield f"{who}: {sorted(missing)} not set"
    for fault in product.environment_faults(environment, _FILES):
        yield f"{who}: {fault}"


def probe_faults(who: str, probe: Any, *, public: bool) -> Iterator[str]:
    port, path = probe["httpGet"]["port"], probe["httpGet"]["path"]
    known = {product.METRICS_PORT: set(product.INTERNAL_PATHS)}
    if public:
        known[product.API_PORT] = set(product.public_paths())
    if who == "chroma":
        known = {8000: {product.CHROMA_HEARTBEAT}}
    if path not in known.get(port, ()):
        yield f"{who}: nothing answers {port}{path}"
    if probe["timeoutSeconds"] < 2 or not probe["periodSeconds"] or not probe["failureThreshold"]:
        yield f"{who}: probe {probe}"


_ALL = {*_FILES, "AI_INVESTMENT_ENVIRONMENT", "CHROMA_URL", "LOG_LEVEL", "OPENAI_MODEL"}
_MIGRATION = {
    "AI_INVESTMENT_ENVIRONMENT",
    "DATABASE_URL_FILE",
    "SECRET_KEY_FILE",
    "JWT_SECRET_KEY_FILE",
}


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
        yield from settings_faults(name, environment, _MIGRATION if migration else _ALL)
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
        yield from settings_faults(name, environment, _MIGRATION if migration else _ALL)
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


def aws_faults(stack: Any, process: Any) -> Iterator[str]:
    made = stack["Resources"]
    processes = {
        r["Properties"]["Parameters"]["Name"]: r["Properties"]["Parameters"]
        for r in made.values()
        if r["Type"] == "AWS::CloudFormation::Stack"
    }
    if set(processes) != set(product.PROCESSES):
        yield f"processes {sorted(processes)}"
    for name, parameters in processes.items():
        words = parameters["Command"].split(",")
        if words != (["serve"] if name == "api" else ["worker", name]) or product.command_fault(
            words
        ):
            yield f"{name}: runs {words}"
        if ("Age" in parameters) != (name in QUEUED):
            yield f"{name}: scaled by a queue"
        if ("Target" in parameters) != (name == "api"):
            yield f"{name}: behind the balancer"
        if (
            missing := {
                key for key, value in process["Parameters"].items() if "Default" not in value
            }
            - parameters.keys()
        ):
            yield f"{name}: {sorted(missing)} not given"
    task = process["Resources"]["Task"]["Properties"]["ContainerDefinitions"][0]
    environment = {item["Name"]: item["Value"] for item in task["Environment"]}
    secrets = {item["Name"] for item in task["Secrets"] if isinstance(item, dict)}
    values = {name.removesuffix("_FILE"): value for name, value in _FILES.items()}
    if secrets != {"SECRET_KEY", "JWT_SECRET_KEY", "DATABASE_URL", "REDIS_URL"}:
        yield f"secrets {sorted(secrets)}"
    yield from settings_faults(
        "task",
        {**environment, **{n: values[n] for n in secrets}},
        {"CHROMA_URL", "LOG_LEVEL", "OPENAI_MODEL"},
    )
    if (
        task["ReadonlyRootFilesystem"] is not True
        or task["User"] != "10001:10001"
        or task["StopTimeout"] <= product.GRACE_SECONDS
    ):
        yield "task: rights or time"
    if f"http://127.0.0.1:{product.METRICS_PORT}/health" not in task["HealthCheck"]["Command"][3]:
        yield "task: health"
    target = made["Target"]["Properties"]
    if (
        target["HealthCheckPath"] not in product.public_paths()
        or target["HealthCheckPath"] != "/health/ready"
    ):
        yield "target: health"
    if (target["Port"], made["HttpsListener"]["Properties"]["Port"]) != (product.API_PORT, 443):
        yield "ports"
    redirect = made["HttpListener"]["Properties"]["DefaultActions"][0]
    if redirect["Type"] != "redirect" or redirect["RedirectConfig"]["Protocol"] != "HTTPS":
        yield "HTTP is served"
    yield from _aws_doors(made)
    yield from _aws_stores(made)


def _aws_doors(made: Any) -> Iterator[str]:
    """Only the balancer is open to the world; a store only to the tasks."""
    doors = {
        "BalancerGroup": {(80, "0.0.0.0/0"), (443, "0.0.0.0/0")}, "TaskGroup": {(8000, "BalancerGroup")},
        "ChromaGroup": {(8000, "TaskGroup")}, "DatabaseGroup": {(5432, "TaskGroup")}, "RedisGroup": {(6379, "TaskGroup")},
        "FilesGroup": {(2049, "TaskGroup"), (2049, "ChromaGroup")},
    }  # fmt: skip
    groups = {
        key: r["Properties"] for key, r in made.items() if r["Type"] == "AWS::EC2::SecurityGroup"
    }
    if groups.keys() != doors.keys():
        yield f"groups {sorted(groups)}"
    for name, group in groups.items():
        found = {
            (r["FromPort"], r.get("CidrIp") or r["SourceSecurityGroupId"])
            for r in group["SecurityGroupIngress"]
        }
        if found != doors[name] or any(
            r["FromPort"] != r["ToPort"] for r in group["SecurityGroupIngress"]
        ):
            yield f"{name}: {found}"


def _aws_stores(made: Any) -> Iterator[str]:
    database, redis = made["Database"]["Properties"], made["Redis"]["Properties"]
    if (
        not database["MultiAZ"]
        or not database["StorageEncrypted"]
        or database["PubliclyAccessible"] is not False
    ):
        yield "database: one zone, open or readable"
    if database["BackupRetentionPeriod"] < 7 or not database["DeletionProtection"]:
        yield "database: backups"
    if made["Database"]["DeletionPolicy"] != "Snapshot":
        yield "database: is lost with the stack"
    parameters = made["DatabaseParameters"]["Properties"]["Parameters"]
    pools = (
        2 * product.POOL * (10 * (1 + len(QUEUED)) + 2) + 20
    )  # a rollout doubles: MaximumPercent 200
    if parameters["rds.force_ssl"] != "1" or int(parameters["max_connections"]) < pools:
        yield f"database: {parameters}, pools {pools}"
    if not (
        redis["TransitEncryptionEnabled"]
        and redis["AtRestEncryptionEnabled"]
        and redis["AutomaticFailoverEnabled"]
    ):
        yield "redis: readable, or one zone"
    if (
        made["RedisParameters"]["Properties"]["Properties"]["maxmemory-policy"] != "noeviction"
        or redis["NumNodeGroups"] != 1
    ):
        yield "redis: forgets, or is sharded"
    if not redis["AuthToken"] or redis["SnapshotRetentionLimit"] < 1:
        yield "redis: open"


AZURE = ("api", *product.WORKERS, "migration", "chroma")


def _file(cloud: str, name: str) -> str:
    return f"{cloud}/{f'worker-{name}' if name in product.WORKERS else name}.yaml"


@pytest.mark.parametrize("cloud", ["azure", "google"])
@pytest.mark.parametrize("name", AZURE)
def test_an_app_agrees_with_the_product_and_every_field_of_it_is_needed(
    cloud: str, name: str
) -> None:
    check = azure_faults if cloud == "azure" else google_faults
    app = load(_file(cloud, name))
    assert list(check(name, app)) == []
    survivors = []
    for path in paths(app):
        try:
            noticed = next(check(name, without(app, path)), None)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            noticed = "cannot be read"
        if noticed is None:
            survivors.append("/".join(map(str, path)))
    assert survivors == []


def test_no_cloud_file_is_left_out() -> None:
    files = {str(path.relative_to(CLOUD)) for path in CLOUD.rglob("*.yaml")}
    assert files == {_file(c, n) for c in ("azure", "google") for n in AZURE} | {
        "aws/stack.yaml",
        "aws/process.yaml",
    }


def test_the_stack_agrees_with_the_product() -> None:
    assert list(aws_faults(load("aws/stack.yaml"), load("aws/process.yaml"))) == []


@pytest.mark.parametrize("taken", [
    ("Target", "Properties", "HealthCheckPath"), ("DatabaseGroup", "Properties", "SecurityGroupIngress"),
    ("Redis", "Properties", "AuthToken"), ("HttpListener", "Properties", "DefaultActions"), ("Answers",), ("ChromaGroup",),
    ("DatabaseParameters", "Properties", "Parameters", "rds.force_ssl"), ("Database", "DeletionPolicy"),
    ("Database", "Properties", "BackupRetentionPeriod"), ("Embeddings", "Properties", "Parameters", "Age"),
])  # fmt: skip
def test_what_is_taken_out_of_the_stack_is_noticed(taken: tuple[str, ...]) -> None:
    stack = without(load("aws/stack.yaml"), ("Resources", *taken))
    with pytest.raises((KeyError, AssertionError)):
        assert list(aws_faults(stack, load("aws/process.yaml"))) == []
