"""AWS: what the stack is given, what it hands to its processes and stores, and what `deploy` reads of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.manifests import product
from tests.manifests.clouds import CLOUD
from tests.manifests.clouds.aws_stack import PRIVATE, is_

_PINNED = "^.+@sha256:[0-9a-f]{64}$"
_PARAMETERS = {
    "Image": _PINNED, "MigrationImage": _PINNED, "AgentImage": _PINNED, "CertificateArn": "^arn:aws[a-z-]*:acm:.+$",
    "OpenAiKeyArn": None, "AlarmEmail": None,
}  # fmt: skip
_OUTPUTS = {
    "Address": "Balancer.DNSName", "Cluster": "Cluster", "MigrationTask": "MigrationTask", "TaskGroup": "TaskGroup",
    "PrivateSubnets": [",", PRIVATE],
}  # fmt: skip


def wiring_faults(stack: Any) -> Iterator[str]:
    made = stack["Resources"]
    if {name: item.get("AllowedPattern") for name, item in stack["Parameters"].items()} != _PARAMETERS:  # fmt: skip
        yield f"parameters {stack['Parameters']}"
    if {item["Type"] for item in stack["Parameters"].values()} != {"String"}:
        yield "a parameter is no text"
    if stack["Parameters"]["OpenAiKeyArn"]["Default"] != "":
        yield "a model's key is demanded"
    if stack["Conditions"] != {"WithModel": [["OpenAiKeyArn", ""]]}:
        yield f"conditions {stack['Conditions']}"
    if {name: item["Value"] for name, item in stack["Outputs"].items()} != _OUTPUTS:
        yield f"outputs {stack['Outputs']}"
    read = set(re.findall(r"\$\(output (\w+)\)", (CLOUD / "aws" / "deploy").read_text()))
    if missing := read - stack["Outputs"].keys():
        yield f"deploy reads {sorted(missing)}"
    for name, item in made.items():
        if item["Type"] == "AWS::CloudFormation::Stack":
            yield from _process(name, item)
    yield from _doors(made)
    yield from _database(made)
    yield from _redis(made)
    yield from _agent(made)
    yield from is_(made, "Cluster", "ECS::Cluster", {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]})  # fmt: skip


def _process(name: str, item: Any) -> Iterator[str]:
    given = item["Properties"]["Parameters"]
    if item["Properties"]["TemplateURL"] != "process.yaml" or given["Subnets"] != [",", PRIVATE]:
        yield f"{name}: another template, or reached from outside"
    same = {
        "Cluster": "Cluster", "Group": "TaskGroup", "Image": "Image", "Files": "Files", "Objects": "Objects", "Logs": "Logs",
        "SecretKey": "SecretKey", "JwtSecretKey": "JwtSecretKey", "DatabaseUrl": "DatabaseUrl", "RedisUrl": "RedisUrl",
        "OpenAiKeyArn": "OpenAiKeyArn", "Alarms": "Alarms", "ExecutionRole": "ExecutionRole.Arn", "TaskRole": "TaskRole.Arn",
    }  # fmt: skip
    if any(given[key] != value for key, value in same.items()):
        yield f"{name}: is given {given}"
    wanted = {"FilesMount0", "FilesMount1"} | ({"HttpsListener"} if name == "Api" else set())
    if set(item["DependsOn"]) != wanted:
        yield f"{name}: starts before what it needs"
    agent = {key: given.get(key) for key in ("AgentImage", "AgentConfiguration", "AgentScrape", "MetricLogs")}  # fmt: skip
    if name == "Api" and agent != {key: key for key in agent}:
        yield f"{name}: the age of queues is no metric"
    if name == "Scheduler" and given["Most"] != "2":
        yield f"{name}: more than two clocks"


def _doors(made: Any) -> Iterator[str]:
    for name, item in made.items():
        if item["Type"] != "AWS::EC2::SecurityGroup":
            continue
        if item["Properties"]["VpcId"] != "Vpc" or not item["Properties"]["GroupDescription"]:
            yield f"{name}: of another network"
        if {rule["IpProtocol"] for rule in item["Properties"]["SecurityGroupIngress"]} != {"tcp"}:
            yield f"{name}: other protocols"


def _database(made: Any) -> Iterator[str]:
    yield from is_(made, "DatabaseSubnets", "RDS::DBSubnetGroup", {"SubnetIds": PRIVATE})
    yield from is_(made, "DatabaseParameters", "RDS::DBParameterGroup", {"Family": "postgres17"})
    yield from is_(made, "Database", "RDS::DBInstance", {
        "Engine": "postgres", "DBName": "ai_investment", "MasterUsername": "ai_investment", "StorageType": "gp3",
        "MasterUserPassword": "{{resolve:secretsmanager:${DatabasePassword}}}", "VPCSecurityGroups": ["DatabaseGroup"],
        "DBParameterGroupName": "DatabaseParameters", "DBSubnetGroupName": "DatabaseSubnets",
        "AutoMinorVersionUpgrade": True, "CopyTagsToSnapshot": True, "EnableCloudwatchLogsExports": ["postgresql"],
    })  # fmt: skip
    found = made["Database"]["Properties"]
    if not found["EngineVersion"].startswith("17") or not found["DBInstanceClass"].startswith("db."):  # fmt: skip
        yield "Database: version or size"
    if int(found["AllocatedStorage"]) >= found["MaxAllocatedStorage"]:
        yield "Database: its disk does not grow"
    if made["Database"]["UpdateReplacePolicy"] != "Snapshot":
        yield "Database: is lost when it is replaced"


def _redis(made: Any) -> Iterator[str]:
    yield from is_(made, "RedisSubnets", "ElastiCache::SubnetGroup", {"SubnetIds": PRIVATE})
    yield from is_(made, "RedisParameters", "ElastiCache::ParameterGroup", {"CacheParameterGroupFamily": "redis7"})  # fmt: skip
    yield from is_(made, "Redis", "ElastiCache::ReplicationGroup", {
        "Engine": "redis", "ReplicasPerNodeGroup": 1, "MultiAZEnabled": True, "AutoMinorVersionUpgrade": True,
        "AuthToken": "{{resolve:secretsmanager:${RedisToken}}}", "CacheParameterGroupName": "RedisParameters",
        "CacheSubnetGroupName": "RedisSubnets", "SecurityGroupIds": ["RedisGroup"],
    })  # fmt: skip
    found = made["Redis"]["Properties"]
    if not found["EngineVersion"].startswith("7") or not found["CacheNodeType"].startswith("cache."):  # fmt: skip
        yield "Redis: version or size"


def _agent(made: Any) -> Iterator[str]:
    """The agent reads this process's own listener and hands on series that exist."""
    for name in ("AgentConfiguration", "AgentScrape"):
        if made[name]["Type"] != "AWS::SSM::Parameter" or made[name]["Properties"]["Type"] != "String":  # fmt: skip
            yield f"{name}: kind"
        if not made[name]["Properties"]["Name"].startswith("/${AWS::StackName}/"):
            yield f"{name}: the role may not read it"
    scrape = yaml.safe_load(made["AgentScrape"]["Properties"]["Value"])["scrape_configs"][0]
    if scrape["static_configs"] != [{"targets": [f"127.0.0.1:{product.METRICS_PORT}"]}] or scrape["metrics_path"] != "/metrics":  # fmt: skip
        yield f"AgentScrape: {scrape}"
    told = json.loads(made["AgentConfiguration"]["Properties"]["Value"])
    prometheus = told["logs"]["metrics_collected"]["prometheus"]
    declared = prometheus["emf_processor"]["metric_declaration"]
    series = {name.strip("^$") for item in declared for name in item["metric_selectors"]}
    if series != {"jobs_oldest_waiting_seconds", "jobs_dead"} or not series <= product.metrics():
        yield f"AgentConfiguration: {sorted(series)}"
    if prometheus["log_group_name"] != "${MetricLogs}" or prometheus["emf_processor"]["metric_namespace"] != "ai-investment":  # fmt: skip
        yield "AgentConfiguration: where it writes"
    if made["MetricLogs"]["Properties"]["RetentionInDays"] != 7:
        yield "MetricLogs: are kept for ever"
