"""What must hold of each cloud's files, in agreement with the product."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from tests.house.exposure import _Tolerant
from tests.manifests import product
from tests.manifests.render import GITOPS

CLOUD = GITOPS / "cloud"
QUEUED = tuple(worker for worker in product.WORKERS if worker != "scheduler")
FILES = {
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
    for fault in product.environment_faults(environment, FILES):
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


ALL = {*FILES, "AI_INVESTMENT_ENVIRONMENT", "CHROMA_URL", "LOG_LEVEL", "OPENAI_MODEL"}
MIGRATION = {
    "AI_INVESTMENT_ENVIRONMENT",
    "DATABASE_URL_FILE",
    "SECRET_KEY_FILE",
    "JWT_SECRET_KEY_FILE",
}
