"""AWS: the stack and the template of a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.clouds import FILES, QUEUED, settings_faults
from tests.manifests.clouds.aws_stack import stack_faults
from tests.manifests.clouds.aws_tasks import process_faults
from tests.manifests.clouds.aws_wiring import wiring_faults


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
        if unknown := parameters.keys() - process["Parameters"].keys():
            yield f"{name}: {sorted(unknown)} does not exist"
    task = process["Resources"]["Task"]["Properties"]["ContainerDefinitions"][0]
    environment = {item["Name"]: item["Value"] for item in task["Environment"]}
    secrets = {item["Name"] for item in task["Secrets"] if isinstance(item, dict)}
    values = {name.removesuffix("_FILE"): value for name, value in FILES.items()}
    if secrets != {"SECRET_KEY", "JWT_SECRET_KEY", "DATABASE_URL", "REDIS_URL"}:
        yield f"secrets {sorted(secrets)}"
    yield from settings_faults(
        "task",
        {**environment, **{n: values[n] for n in secrets}},
        {"AI_INVESTMENT_ENVIRONMENT", "CHROMA_URL", "LOG_LEVEL", "OPENAI_MODEL"},
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
    yield from process_faults(process)
    yield from stack_faults(made)
    yield from wiring_faults(stack)


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
