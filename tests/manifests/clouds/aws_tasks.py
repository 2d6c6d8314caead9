"""AWS: tasks, services and how they scale. References are read as the names they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.manifests import product

_NOTHING = "AWS::NoValue"
_SECRETS = {
    "SECRET_KEY": "SecretKey", "JWT_SECRET_KEY": "JwtSecretKey", "DATABASE_URL": "DatabaseUrl", "REDIS_URL": "RedisUrl",
}  # fmt: skip
_WITH_KEY = ["WithModel", {"Name": "OPENAI_API_KEY", "ValueFrom": "OpenAiKeyArn"}, _NOTHING]


def process_faults(process: Any) -> Iterator[str]:
    """process.yaml, which the stack uses for the API and for each worker."""
    made = process["Resources"]
    for name, parameter in process["Parameters"].items():
        if parameter["Type"] not in ("String", "Number", "CommaDelimitedList"):
            yield f"parameter {name}"
    most, age = process["Parameters"]["Most"], process["Parameters"]["Age"]
    if (most["MinValue"], most["MaxValue"], most["Default"], age["Default"]) != (2, 10, 10, 0):
        yield f"most {most}, age {age}"
    conditions = {"Serves": ("Target", ""), "HasQueue": ("Age", 0), "WithModel": ("OpenAiKeyArn", "")}  # fmt: skip
    if process["Conditions"] != {name: [list(pair)] for name, pair in conditions.items()}:
        yield f"conditions {process['Conditions']}"
    yield from task_faults("process", made["Task"], ("objects", "Objects"), "Name")
    api, agent = made["Task"]["Properties"]["ContainerDefinitions"]
    if api["PortMappings"] != ["Serves", [{"ContainerPort": 8000, "Protocol": "tcp"}], _NOTHING]:
        yield "process: ports"
    *always, with_key = api["Secrets"]
    if {item["Name"]: item["ValueFrom"] for item in always} != _SECRETS or with_key != _WITH_KEY:
        yield f"process: secrets {api['Secrets']}"
    if api["Command"] != "Command":
        yield "process: command"
    yield from _agent(agent)
    yield from service_faults("process", made["Service"], "Task", "Group", "Subnets")
    yield from _rollout(made["Service"]["Properties"])
    yield from _scaling(made)


def task_faults(who: str, task: Any, data: tuple[str, str], name: str) -> Iterator[str]:
    """A task of the image: locked, with health and logs, with one folder that is kept."""
    found = task["Properties"]
    if (task["Type"], found["RequiresCompatibilities"], found["NetworkMode"]) != (
        "AWS::ECS::TaskDefinition", ["FARGATE"], "awsvpc",
    ) or not found["Family"]:  # fmt: skip
        yield f"{who}: is no Fargate task"
    if not (found["Cpu"] and found["Memory"]):
        yield f"{who}: no size"
    if not found["ExecutionRoleArn"].startswith("ExecutionRole") or not found["TaskRoleArn"].startswith("TaskRole"):  # fmt: skip
        yield f"{who}: roles"
    first = found["ContainerDefinitions"][0]
    if (first["Name"], first["Image"], first["Essential"]) != (name, "Image", True):
        yield f"{who}: runs {first['Image']}"
    if first["User"] != "10001:10001" or first["ReadonlyRootFilesystem"] is not True:
        yield f"{who}: has rights"
    if first["LinuxParameters"] != {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}:
        yield f"{who}: capabilities, or nobody reaps its children"
    volume, point = data
    kept = {
        "FilesystemId": "Files", "TransitEncryption": "ENABLED",
        "AuthorizationConfig": {"AccessPointId": point, "IAM": "ENABLED"},
    }  # fmt: skip
    if found["Volumes"] != [{"Name": volume, "EFSVolumeConfiguration": kept}, {"Name": "tmp"}]:
        yield f"{who}: volumes {found['Volumes']}"
    mounts = {mount["SourceVolume"]: mount["ContainerPath"] for mount in first["MountPoints"]}
    if mounts != {volume: product.DATA, "tmp": "/tmp"}:
        yield f"{who}: mounts {mounts}"
    health = first["HealthCheck"]
    if health["Command"][:3] != ["CMD", "python", "-c"] or health["Timeout"] <= product.PROBE_SECONDS:  # fmt: skip
        yield f"{who}: health"
    if (health["Interval"], health["Retries"], health["StartPeriod"]) != (15, 3, 60):
        yield f"{who}: is ended too soon, or too late"
    yield from log_faults(who, first, "Logs", name)


def log_faults(who: str, container: Any, group: str, prefix: str) -> Iterator[str]:
    wanted = {
        "awslogs-group": group, "awslogs-region": "AWS::Region", "awslogs-stream-prefix": prefix,
    }  # fmt: skip
    if container["LogConfiguration"] != {"LogDriver": "awslogs", "Options": wanted}:
        yield f"{who}: logs go {container['LogConfiguration']}"


def _agent(agent: Any) -> Iterator[str]:
    """What makes the age of queues a metric: it may end without ending the API."""
    serves, found, otherwise = agent
    if (serves, otherwise) != ("Serves", _NOTHING):
        yield "agent: beside every process"
    if (found["Name"], found["Image"], found["Essential"]) != ("agent", "AgentImage", False):
        yield "agent: another image, or the API ends with it"
    secrets = {item["Name"]: item["ValueFrom"] for item in found["Secrets"]}
    if secrets != {"CW_CONFIG_CONTENT": "AgentConfiguration", "PROMETHEUS_CONFIG_CONTENT": "AgentScrape"}:  # fmt: skip
        yield f"agent: {secrets}"
    yield from log_faults("agent", found, "MetricLogs", "agent")


def service_faults(who: str, service: Any, task: str, group: str, subnets: Any) -> Iterator[str]:
    found = service["Properties"]
    if (service["Type"], found["Cluster"], found["TaskDefinition"], found["LaunchType"]) != (
        "AWS::ECS::Service", "Cluster", task, "FARGATE",
    ):  # fmt: skip
        yield f"{who}: is no service of its task"
    if found["NetworkConfiguration"] != {
        "AwsvpcConfiguration": {
            "Subnets": subnets, "SecurityGroups": [group], "AssignPublicIp": "DISABLED",
        }
    }:  # fmt: skip
        yield f"{who}: is reached otherwise"


def _rollout(found: Any) -> Iterator[str]:
    if found["DesiredCount"] != 2 or found["HealthCheckGracePeriodSeconds"] != ["Serves", 60, _NOTHING]:  # fmt: skip
        yield "process: one alone, or ended while it starts"
    if found["DeploymentConfiguration"] != {
        "MinimumHealthyPercent": 100, "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }:  # fmt: skip
        yield "process: a rollout takes processes away, or does not go back"
    behind = {"ContainerName": "Name", "ContainerPort": product.API_PORT, "TargetGroupArn": "Target"}  # fmt: skip
    if found["LoadBalancers"] != ["Serves", [behind], _NOTHING]:
        yield "process: not behind the balancer"


def _scaling(made: Any) -> Iterator[str]:
    target = made["Scaling"]
    if target["Type"] != "AWS::ApplicationAutoScaling::ScalableTarget" or target["Properties"] != {
        "ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": "service/${Cluster}/${Service.Name}", "MinCapacity": 2, "MaxCapacity": "Most",
    }:  # fmt: skip
        yield f"scaling {target}"
    predefined = {"ByCpu": (70, "CPU"), "ByMemory": (85, "Memory")}
    for policy, (value, what) in predefined.items():
        specification = {"PredefinedMetricType": f"ECSServiceAverage{what}Utilization"}
        wanted = {"TargetValue": value, "PredefinedMetricSpecification": specification}
        yield from _policy(policy, made[policy], wanted)
    metric = {
        "Namespace": "ai-investment", "MetricName": "jobs_oldest_waiting_seconds", "Statistic": "Maximum",
        "Dimensions": [{"Name": "queue", "Value": "Name"}],
    }  # fmt: skip
    if metric["MetricName"] not in product.metrics():
        yield f"{metric['MetricName']} does not exist"
    wanted = {"TargetValue": "Age", "CustomizedMetricSpecification": metric}
    yield from _policy("ByAge", made["ByAge"], wanted)
    if {made["ByAge"]["Condition"], made["Late"]["Condition"]} != {"HasQueue"}:
        yield "a process without a queue is scaled by one"
    yield from alarm_faults("Late", made["Late"], metric, "GreaterThanThreshold", "breaching")


def _policy(name: str, policy: Any, wanted: dict[str, Any]) -> Iterator[str]:
    found = policy["Properties"]
    if policy["Type"] != "AWS::ApplicationAutoScaling::ScalingPolicy" or not found["PolicyName"]:
        yield f"{name}: is no policy"
    if (found["PolicyType"], found["ScalingTargetId"]) != ("TargetTrackingScaling", "Scaling"):
        yield f"{name}: of another target"
    cooldown = {"ScaleOutCooldown": 60, "ScaleInCooldown": 300}
    if found["TargetTrackingScalingPolicyConfiguration"] != cooldown | wanted:
        yield f"{name}: {found['TargetTrackingScalingPolicyConfiguration']}"


def alarm_faults(name: str, alarm: Any, metric: Any, compared: str, missing: str) -> Iterator[str]:
    """It watches this metric, waits a little, reaches somebody; `missing`: what no number means."""
    found = alarm["Properties"]
    if alarm["Type"] != "AWS::CloudWatch::Alarm" or not found["AlarmDescription"]:
        yield f"{name}: says nothing"
    if any(found[key] != value for key, value in metric.items()):
        yield f"{name}: watches another metric"
    if (found["ComparisonOperator"], found["TreatMissingData"]) != (compared, missing):
        yield f"{name}: compares otherwise"
    if found["Period"] not in (60, 300) or not 2 <= found["EvaluationPeriods"] <= 5 or not found["Threshold"]:  # fmt: skip
        yield f"{name}: cries at once, or never"
    if found["AlarmActions"] != ["Alarms"] or found.get("OKActions", ["Alarms"]) != ["Alarms"]:
        yield f"{name}: reaches nobody"
