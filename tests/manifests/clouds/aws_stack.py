"""AWS: what stands around the tasks: network, balancer, Chroma, migration, files, alarms, backups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.manifests import product
from tests.manifests.clouds.aws_tasks import alarm_faults, log_faults, service_faults, task_faults

ZONES = (0, 1)
PRIVATE = ["Private0", "Private1"]


def stack_faults(made: Any) -> Iterator[str]:
    yield from _network(made)
    yield from _balancer(made)
    yield from _chroma(made)
    yield from _migration(made["MigrationTask"]["Properties"])
    yield from _files(made)
    yield from _secrets(made)
    yield from _roles(made)
    yield from _alarms(made)
    yield from _backups(made)


def is_(made: Any, name: str, kind: str, wanted: dict[str, Any]) -> Iterator[str]:
    """The resource is of this kind and has these properties, which may not be others or fewer."""
    found = made[name]
    properties = found.get("Properties", {})
    if found["Type"] != f"AWS::{kind}" or any(properties[key] != wanted[key] for key in wanted):
        yield f"{name}: {found}"


def _network(made: Any) -> Iterator[str]:
    yield from is_(made, "Vpc", "EC2::VPC", {"CidrBlock": "10.20.0.0/16", "EnableDnsHostnames": True, "EnableDnsSupport": True})  # fmt: skip
    yield from is_(made, "Gateway", "EC2::InternetGateway", {})
    yield from is_(made, "GatewayAttachment", "EC2::VPCGatewayAttachment", {"VpcId": "Vpc", "InternetGatewayId": "Gateway"})  # fmt: skip
    yield from is_(made, "PublicRoutes", "EC2::RouteTable", {"VpcId": "Vpc"})
    out = {"DestinationCidrBlock": "0.0.0.0/0"}
    yield from is_(made, "PublicRoute", "EC2::Route", out | {"RouteTableId": "PublicRoutes", "GatewayId": "Gateway"})  # fmt: skip
    for zone in ZONES:
        place = {"VpcId": "Vpc", "AvailabilityZone": [zone, ""]}
        public = {"CidrBlock": [zone, ["10.20.0.0/20", 2, 8]]}
        private = {"CidrBlock": [zone, ["10.20.128.0/18", 2, 13]]}
        yield from is_(made, f"Public{zone}", "EC2::Subnet", place | public)
        yield from is_(made, f"Private{zone}", "EC2::Subnet", place | private)
        if "MapPublicIpOnLaunch" in made[f"Private{zone}"]["Properties"]:
            yield f"Private{zone}: is reached from outside"
        nat = {"SubnetId": f"Public{zone}", "AllocationId": [f"NatAddress{zone}", "AllocationId"]}
        yield from is_(made, f"Nat{zone}", "EC2::NatGateway", nat)
        yield from is_(made, f"NatAddress{zone}", "EC2::EIP", {"Domain": "vpc"})
        yield from is_(made, f"PrivateRoutes{zone}", "EC2::RouteTable", {"VpcId": "Vpc"})
        way = {"RouteTableId": f"PrivateRoutes{zone}", "NatGatewayId": f"Nat{zone}"}
        yield from is_(made, f"PrivateRoute{zone}", "EC2::Route", out | way)
        for kind, table in (("Public", "PublicRoutes"), ("Private", f"PrivateRoutes{zone}")):
            belongs = {"SubnetId": f"{kind}{zone}", "RouteTableId": table}
            yield from is_(made, f"{kind}Association{zone}", "EC2::SubnetRouteTableAssociation", belongs)  # fmt: skip
    for waits in ("PublicRoute", "NatAddress0", "NatAddress1"):
        if made[waits]["DependsOn"] != "GatewayAttachment":
            yield f"{waits}: is made before there is a way out"


def _balancer(made: Any) -> Iterator[str]:
    attributes = [
        {"Key": "idle_timeout.timeout_seconds", "Value": "75"},
        {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
        {"Key": "deletion_protection.enabled", "Value": "true"},
    ]
    yield from is_(made, "Balancer", "ElasticLoadBalancingV2::LoadBalancer", {
        "Type": "application", "Scheme": "internet-facing", "Subnets": ["Public0", "Public1"],
        "SecurityGroups": ["BalancerGroup"], "LoadBalancerAttributes": attributes,
    })  # fmt: skip
    target = made["Target"]["Properties"]
    yield from is_(made, "Target", "ElasticLoadBalancingV2::TargetGroup", {
        "VpcId": "Vpc", "TargetType": "ip", "Protocol": "HTTP", "Matcher": {"HttpCode": "200"},
        "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2,
    })  # fmt: skip
    if target["HealthCheckTimeoutSeconds"] <= product.PROBE_SECONDS:
        yield "Target: gives up before the process answers that it hangs"
    given = {item["Key"]: item["Value"] for item in target["TargetGroupAttributes"]}
    if int(given["deregistration_delay.timeout_seconds"]) <= product.GRACE_SECONDS:
        yield "Target: cuts what a draining API has begun"
    if given["load_balancing.algorithm.type"] != "least_outstanding_requests":
        yield "Target: streams count as nothing"
    yield from is_(made, "HttpListener", "ElasticLoadBalancingV2::Listener", {
        "LoadBalancerArn": "Balancer", "Port": 80, "Protocol": "HTTP", "DefaultActions": [
            {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}],
    })  # fmt: skip
    yield from is_(made, "HttpsListener", "ElasticLoadBalancingV2::Listener", {
        "LoadBalancerArn": "Balancer", "Port": 443, "Protocol": "HTTPS",
        "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "Certificates": [{"CertificateArn": "CertificateArn"}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": "Target"}],
    })  # fmt: skip
    yield from is_(made, "MetricsRule", "ElasticLoadBalancingV2::ListenerRule", {
        "ListenerArn": "HttpsListener", "Priority": 1,
        "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/metrics*"]}}],
        "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    })  # fmt: skip
    if made["Balancer"]["DependsOn"] != "PublicRoute":
        yield "Balancer: is made before there is a way in"


def _chroma(made: Any) -> Iterator[str]:
    yield from task_faults("chroma", made["ChromaTask"], ("vectors", "Vectors"), "chroma")
    [container] = made["ChromaTask"]["Properties"]["ContainerDefinitions"]
    command = ["run", "--path", product.DATA, "--host", "0.0.0.0", "--port", "8000"]
    if (container["EntryPoint"], container["Command"]) != (["chroma"], command):
        yield "chroma: command"
    if container["PortMappings"] != [{"ContainerPort": 8000, "Protocol": "tcp"}]:
        yield "chroma: port"
    if f":8000{product.CHROMA_HEARTBEAT}" not in container["HealthCheck"]["Command"][3]:
        yield "chroma: health"
    yield from service_faults("chroma", made["ChromaService"], "ChromaTask", "ChromaGroup", PRIVATE)
    service = made["ChromaService"]
    if service["Properties"]["DesiredCount"] != 1 or service["Properties"]["DeploymentConfiguration"] != {
        "MinimumHealthyPercent": 0, "MaximumPercent": 100,
    }:  # fmt: skip
        yield "chroma: two would write into one folder"
    if service["Properties"]["ServiceRegistries"] != [{"RegistryArn": "ChromaName.Arn"}]:
        yield "chroma: has no name"
    yield from is_(made, "Names", "ServiceDiscovery::PrivateDnsNamespace", {"Name": "ai-investment.internal", "Vpc": "Vpc"})  # fmt: skip
    records = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
    yield from is_(made, "ChromaName", "ServiceDiscovery::Service", {"Name": "chroma", "NamespaceId": "Names", "DnsConfig": records})  # fmt: skip
    for waits in ("ChromaService", "Api"):
        if not {"FilesMount0", "FilesMount1"} <= set(made[waits]["DependsOn"]):
            yield f"{waits}: starts before its files"


def _migration(task: Any) -> Iterator[str]:
    [container] = task["ContainerDefinitions"]
    environment = {item["Name"]: item["Value"] for item in container["Environment"]}
    secrets = {item["Name"]: item["ValueFrom"] for item in container["Secrets"]}
    if (container["Image"], container["Command"]) != ("MigrationImage", ["db", "upgrade"]):
        yield "migration: runs another release"
    if environment != {"AI_INVESTMENT_ENVIRONMENT": "production"} or secrets != {
        "SECRET_KEY": "SecretKey", "JWT_SECRET_KEY": "JwtSecretKey", "DATABASE_URL": "DatabaseUrl",
    }:  # fmt: skip
        yield f"migration: {environment} {secrets}"
    if container["User"] != "10001:10001" or container["ReadonlyRootFilesystem"] is not True:
        yield "migration: has rights"
    yield from log_faults("migration", container, "Logs", "migration")
    if (task["ExecutionRoleArn"], task["TaskRoleArn"]) != ("ExecutionRole.Arn", "TaskRole.Arn"):
        yield "migration: roles"
    if (task["RequiresCompatibilities"], task["NetworkMode"]) != (["FARGATE"], "awsvpc"):
        yield "migration: is no Fargate task"
    if not (task["Cpu"] and task["Memory"] and task["Family"]):
        yield "migration: no size"


def _files(made: Any) -> Iterator[str]:
    yield from is_(made, "Files", "EFS::FileSystem", {"Encrypted": True, "BackupPolicy": {"Status": "ENABLED"}, "ThroughputMode": "elastic"})  # fmt: skip
    for zone in ZONES:
        where = {"FileSystemId": "Files", "SubnetId": f"Private{zone}", "SecurityGroups": ["FilesGroup"]}  # fmt: skip
        yield from is_(made, f"FilesMount{zone}", "EFS::MountTarget", where)
    for point in ("Objects", "Vectors"):
        owner = {"OwnerUid": "10001", "OwnerGid": "10001", "Permissions": "0750"}
        yield from is_(made, point, "EFS::AccessPoint", {
            "FileSystemId": "Files", "PosixUser": {"Uid": "10001", "Gid": "10001"},
            "RootDirectory": {"Path": f"/{point}", "CreationInfo": owner},
        })  # fmt: skip
    for name in ("Files", "Logs", "Vault", "SecretKey", "JwtSecretKey", "DatabasePassword", "RedisToken"):  # fmt: skip
        if (made[name]["DeletionPolicy"], made[name]["UpdateReplacePolicy"]) != ("Retain",) * 2:
            yield f"{name}: is lost with the stack"
    if made["Logs"]["Properties"]["RetentionInDays"] != 30:
        yield "Logs: are kept for ever"


def _secrets(made: Any) -> Iterator[str]:
    for name in ("SecretKey", "JwtSecretKey", "DatabasePassword", "RedisToken"):
        generated = made[name]["Properties"]["GenerateSecretString"]
        # Punctuation would have to be written otherwise in a URL.
        if generated["PasswordLength"] < 48 or generated["ExcludePunctuation"] is not True:
            yield f"{name}: {generated}"
    database = made["DatabaseUrl"]["Properties"]["SecretString"]
    redis = made["RedisUrl"]["Properties"]["SecretString"]
    if not database.startswith("postgresql://ai_investment:{{resolve:secretsmanager:${DatabasePassword}}}@") or "sslmode=require" not in database:  # fmt: skip
        yield f"DatabaseUrl: {database}"
    if not redis.startswith("rediss://:{{resolve:secretsmanager:${RedisToken}}}@${Redis.Primary"):
        yield f"RedisUrl: {redis}"


def _roles(made: Any) -> Iterator[str]:
    [execution], [task] = (made[role]["Properties"]["Policies"] for role in ("ExecutionRole", "TaskRole"))  # fmt: skip
    secrets, parameters = execution["PolicyDocument"]["Statement"]
    if (secrets["Effect"], secrets["Action"]) != ("Allow", "secretsmanager:GetSecretValue") or secrets["Resource"] != [
        "SecretKey", "JwtSecretKey", "DatabaseUrl", "RedisUrl", ["WithModel", "OpenAiKeyArn", "AWS::NoValue"],
    ]:  # fmt: skip
        yield f"ExecutionRole: reads {secrets}"
    if (parameters["Effect"], parameters["Action"]) != ("Allow", "ssm:GetParameters") or "*" in parameters["Resource"][:-1]:  # fmt: skip
        yield f"ExecutionRole: reads {parameters}"
    files, logs = task["PolicyDocument"]["Statement"]
    points = {"ArnEquals": {"elasticfilesystem:AccessPointArn": ["Objects.Arn", "Vectors.Arn"]}}
    if files != {
        "Effect": "Allow", "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
        "Resource": "Files.Arn", "Condition": points,
    }:  # fmt: skip
        yield f"TaskRole: {files}"
    if logs["Resource"] != ["Logs.Arn", "MetricLogs.Arn"] or len(logs["Action"]) != 3 or logs["Effect"] != "Allow":  # fmt: skip
        yield f"TaskRole: {logs}"
    for role, service in (("ExecutionRole", "ecs-tasks"), ("TaskRole", "ecs-tasks"), ("BackupRole", "backup")):  # fmt: skip
        [trust] = made[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        if trust != {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}:  # fmt: skip
            yield f"{role}: {trust} may take it"
    managed = {role: [name.rpartition("/")[2] for name in made[role]["Properties"]["ManagedPolicyArns"]] for role in ("ExecutionRole", "BackupRole")}  # fmt: skip
    if managed != {
        "ExecutionRole": ["AmazonECSTaskExecutionRolePolicy"],
        "BackupRole": ["AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores"],
    }:  # fmt: skip
        yield f"roles: {managed}"


def _alarms(made: Any) -> Iterator[str]:
    topic = {"KmsMasterKeyId": "alias/aws/sns", "Subscription": [{"Protocol": "email", "Endpoint": "AlarmEmail"}]}  # fmt: skip
    yield from is_(made, "Alarms", "SNS::Topic", topic)
    balancer = {"Name": "LoadBalancer", "Value": "Balancer.LoadBalancerFullName"}
    target = {"Name": "TargetGroup", "Value": "Target.TargetGroupFullName"}
    for name, space, metric, dimensions, statistic, above, missing in (
        ("ErrorsAlarm", "ApplicationELB", "HTTPCode_Target_5XX_Count", [balancer], "Sum", True, "notBreaching"),
        ("TargetsAlarm", "ApplicationELB", "HealthyHostCount", [balancer, target], "Minimum", False, "breaching"),
        ("DatabaseAlarm", "RDS", "FreeStorageSpace", [{"Name": "DBInstanceIdentifier", "Value": "Database"}], "Minimum",
         False, "breaching"),
        ("RedisAlarm", "ElastiCache", "DatabaseMemoryUsagePercentage", [{"Name": "ReplicationGroupId", "Value": "Redis"}],
         "Maximum", True, "notBreaching"),
    ):  # fmt: skip
        watched = {"Namespace": f"AWS/{space}", "MetricName": metric, "Dimensions": dimensions, "Statistic": statistic}  # fmt: skip
        compared = "GreaterThanThreshold" if above else "LessThanThreshold"
        yield from alarm_faults(name, made[name], watched, compared, missing)


def _backups(made: Any) -> Iterator[str]:
    plan = made["BackupPlan"]["Properties"]["BackupPlan"]
    kept = {rule["RuleName"]: rule for rule in plan["BackupPlanRule"]}
    if {name: rule["Lifecycle"] for name, rule in kept.items()} != {
        "daily": {"DeleteAfterDays": 35}, "monthly": {"DeleteAfterDays": 365},
    } or not plan["BackupPlanName"]:  # fmt: skip
        yield f"BackupPlan: {kept}"
    for rule in kept.values():
        if rule["TargetBackupVault"] != "Vault" or not rule["ScheduleExpression"].startswith("cron("):  # fmt: skip
            yield f"BackupPlan: {rule}"
    selection = made["BackupSelection"]["Properties"]
    chosen = selection["BackupSelection"]
    if selection["BackupPlanId"] != "BackupPlan" or chosen["IamRoleArn"] != "BackupRole.Arn" or not chosen["SelectionName"]:  # fmt: skip
        yield "BackupSelection: of another plan"
    files, database = chosen["Resources"]
    if files != "Files.Arn" or not database.endswith(":db:${Database}"):
        yield f"BackupSelection: {chosen['Resources']}"
