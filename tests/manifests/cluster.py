"""The objects of one environment, as rules ask for them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from tests.manifests.product import PROCESSES
from tests.manifests.render import Object

COMPONENT = "app.kubernetes.io/component"
OURS = "ai-investment-backend"
NAMESPACE = "ai-investment"


class Cluster:
    """Rendered objects. Missing parts raise KeyError, which `problems` reports."""

    def __init__(self, items: list[Object]) -> None:
        self.items = items

    def of(self, *kinds: str) -> list[Object]:
        return [item for item in self.items if item.get("kind") in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        return next((i for i in self.of(kind) if i["metadata"]["name"] == name), None)

    @cached_property
    def workloads(self) -> list[Object]:
        return self.of("Deployment", "Job")

    @cached_property
    def ours(self) -> list[Object]:
        """The API and the workers."""
        return [w for w in self.of("Deployment") if component(w) in PROCESSES]

    @cached_property
    def settings(self) -> dict[str, str]:
        [data] = [
            item["data"]
            for item in self.of("ConfigMap")
            if item["metadata"]["name"].startswith("settings-")
        ]
        return data  # type: ignore[no-any-return]

    @property
    def development(self) -> bool:
        return self.settings["AI_INVESTMENT_ENVIRONMENT"] == "development"

    def pods_with(self, labels: dict[str, str]) -> list[Object]:
        """Workloads whose pods carry these labels; none for an empty selector."""
        if not labels:
            return []
        return [w for w in self.workloads if labels.items() <= pod_labels(w).items()]


def name(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def pod(workload: Object) -> Any:
    return workload["spec"]["template"]["spec"]


def pod_labels(workload: Object) -> dict[str, str]:
    return workload["spec"]["template"]["metadata"]["labels"]  # type: ignore[no-any-return]


def component(workload: Object) -> str:
    return pod_labels(workload)[COMPONENT]


def container(workload: Object) -> Any:
    [only] = pod(workload)["containers"]
    return only


def ports(workload: Object) -> dict[str, int]:
    """Container ports by name."""
    return {port["name"]: port["containerPort"] for port in container(workload).get("ports", [])}
