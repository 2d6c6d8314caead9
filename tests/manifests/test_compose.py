"""The Compose files: valid, closed, limited, with health and order; and every field that matters is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.house.exposure import problems as open_ports
from tests.manifests import product
from tests.manifests.mutants import paths, without
from tests.manifests.render import ROOT

FILES = ("compose.yaml", "compose.prod.yaml")
OURS = ("api-a", "api-b", *product.WORKERS)
STORES = ("postgres", "redis", "chroma")


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_compose_files_open_nothing_needlessly() -> None:
    assert [problem for name in FILES for problem in open_ports(ROOT / name)] == []


def test_services_wait_for_services_that_exist_and_not_in_a_circle() -> None:
    for name in FILES:
        services = load(name)["services"]
        used = {word for service in services.values() for word in service.get("depends_on", {})}
        assert used <= services.keys()
        assert not _cycle(
            {key: list(value.get("depends_on", {})) for key, value in services.items()}
        )


def _cycle(needs: dict[str, list[str]]) -> bool:
    done: set[str] = set()
    while ready := [key for key, value in needs.items() if key not in done and set(value) <= done]:
        done |= set(ready)
    return done != needs.keys()


def faults(compose: Any) -> Iterator[str]:
    """What is wrong with a production Compose file, one line each."""
    services = compose["services"]
    if set(services) != {*OURS, *STORES, "nginx", "migrate"}:
        yield f"services {sorted(services)}"
    for name, service in services.items():
        yield from _hardened(name, service)
        yield from _limited(name, service)
        for secret in service.get("secrets", []):
            if not compose["secrets"][secret]["file"].startswith("${SECRETS:-./secrets}/"):
                yield f"{name}: {secret}"
        for volume in service.get("volumes", []):
            if not volume.startswith("./") and volume.split(":")[0] not in compose["volumes"]:
                yield f"{name}: no volume {volume}"
        for network in service["networks"]:
            if network not in compose["networks"]:
                yield f"{name}: no network {network}"
    for name in OURS:
        yield from _ours(name, services[name])
    yield from _stores(services)
    yield from _edge(compose, services["nginx"])
    yield from _migration(services["migrate"])


def _hardened(name: str, service: Any) -> Iterator[str]:
    if service["read_only"] is not True or service["cap_drop"] != ["ALL"]:
        yield f"{name}: may write its root or has rights"
    if service["security_opt"] != ["no-new-privileges:true"]:
        yield f"{name}: may gain rights"
    if service["restart"] != ("no" if name == "migrate" else "unless-stopped"):
        yield f"{name}: restart {service['restart']}"
    logging = service["logging"]
    if logging["driver"] != "json-file" or logging["options"] != {
        "max-size": "20m",
        "max-file": "5",
    }:
        yield f"{name}: logs fill the disk"
    if "/tmp" not in [place.split(":")[0] for place in service["tmpfs"]]:
        yield f"{name}: no place to write"
    image = service["image"]
    if not re.search(r"@sha256:[0-9a-f]{64}\}$|^\$\{AI_INVESTMENT_IMAGE:\?.+\}$", image):
        yield f"{name}: {image} is not pinned"
    if name in (*OURS, "chroma", "migrate") and service["user"] != "10001:10001":
        yield f"{name}: user"
    if name in ("postgres", "redis") and service["user"] != name:
        yield f"{name}: user"


def _limited(name: str, service: Any) -> Iterator[str]:
    limits = service["deploy"]["resources"]["limits"]
    if not re.fullmatch(r"\d+[MG]", limits["memory"]) or not 0 < float(limits["cpus"]) <= 2:
        yield f"{name}: limits {limits}"
    if name != "migrate":
        grace = int(service["stop_grace_period"].removesuffix("s"))
        if grace < 30 or (name in OURS and grace <= product.GRACE_SECONDS):
            yield f"{name}: {grace} s to end"
        health = service["healthcheck"]
        if not health["test"][0].startswith("CMD") or len(health["test"]) < 2:
            yield f"{name}: health"
        if not health["interval"].endswith("s") or health["retries"] > 5:
            yield f"{name}: health"
        if int(health["timeout"].removesuffix("s")) < 5:
            yield f"{name}: health"
        starts_slowly = name in (*OURS, "chroma", "postgres")
        if starts_slowly and health["start_period"] != "60s":
            yield f"{name}: is killed while it starts"


def _ours(name: str, service: Any) -> Iterator[str]:
    command = service.get("command", ["serve"])
    if command != (["serve"] if name.startswith("api") else ["worker", name]):
        yield f"{name}: command {command}"
    if fault := product.command_fault(command):
        yield f"{name}: {fault}"
    yield from _settings(name, service)
    if service["volumes"] != [f"objects:{product.DATA}"] or set(service["networks"]) != {
        "inside",
        "outward",
    }:
        yield f"{name}: volumes or networks"
    wanted = {store: {"condition": "service_healthy"} for store in STORES}
    wanted["migrate"] = {"condition": "service_completed_successfully"}
    if service["depends_on"] != wanted:
        yield f"{name}: starts before what it needs"
    probe = f"http://127.0.0.1:{product.METRICS_PORT}{product.INTERNAL_PATHS[0]}"
    if (
        service["healthcheck"]["test"][:3] != ["CMD", "python", "-c"]
        or probe not in service["healthcheck"]["test"][3]
    ):
        yield f"{name}: health"
    if "ports" in service:
        yield f"{name}: is published"


def _settings(name: str, service: Any) -> Iterator[str]:
    environment = {key: str(value) for key, value in service["environment"].items()}
    environment["LOG_LEVEL"] = environment["LOG_LEVEL"].replace("${LOG_LEVEL:-INFO}", "INFO")
    for key in environment:
        if not product.is_setting(key):
            yield f"{name}: there is no setting {key}"
    secrets = {key: value for key, value in environment.items() if key.endswith("_FILE")}
    mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    if set(secrets.values()) != mounted or len(mounted) != 5:
        yield f"{name}: secrets {sorted(mounted)}, settings {sorted(secrets.values())}"
    values = {
        "DATABASE_URL_FILE": "postgresql://u:p@h/n", "REDIS_URL_FILE": "redis://:p@redis:6379/0",
        "SECRET_KEY_FILE": "s" * 32, "JWT_SECRET_KEY_FILE": "j" * 32, "OPENAI_API_KEY_FILE": "",
    }  # fmt: skip
    if secrets.keys() != values.keys() or environment["AI_INVESTMENT_ENVIRONMENT"] != "production":
        yield f"{name}: settings"
    if environment["CHROMA_URL"] != "http://chroma:8000":
        yield f"{name}: CHROMA_URL"
    for fault in product.environment_faults(environment, values):
        yield f"{name}: {fault}"


def _stores(services: Any) -> Iterator[str]:
    if {name for name in STORES if services[name]["networks"] != ["inside"]}:
        yield "a store is on more than the inner network"
    redis = services["redis"]
    words = " ".join(redis["command"])
    for part in (
        "redis-server /run/secrets/redis_conf", "--appendonly yes", "--appendfsync everysec", "--maxmemory 384mb",
        "--maxmemory-policy noeviction",
    ):  # fmt: skip
        if part not in words:
            yield f"redis: not {part}"
    if redis["secrets"] != ["redis_conf"] or redis["volumes"] != ["redis:/data"]:
        yield "redis: password or data"
    if "PONG|NOAUTH" not in redis["healthcheck"]["test"][1]:
        yield "redis: health"
    postgres = services["postgres"]
    if postgres["environment"] != {
        "POSTGRES_USER": "ai_investment", "POSTGRES_DB": "ai_investment",
        "POSTGRES_PASSWORD_FILE": "/run/secrets/database_password", "PGDATA": "/var/lib/postgresql/data/pgdata",
    }:  # fmt: skip
        yield "postgres: environment"
    if postgres["secrets"] != ["database_password"] or postgres["volumes"] != [
        "postgres:/var/lib/postgresql/data"
    ]:
        yield "postgres: password or data"
    if postgres["healthcheck"]["test"][1:] != [
        "pg_isready",
        "-h",
        "127.0.0.1",
        "-U",
        "ai_investment",
        "-d",
        "ai_investment",
    ]:
        yield "postgres: health"
    places = ["/tmp", "/var/run/postgresql:mode=1777"]
    if postgres["shm_size"] != "128m" or postgres["tmpfs"] != places:
        yield "postgres: no memory to share, or no place for its socket"
    pools = (len(OURS) + 2) * product.POOL + 20
    if (
        postgres["command"]
        != ["postgres", "-c", "max_connections=200", "-c", "shared_buffers=256MB"]
        or pools > 200
    ):
        yield f"postgres: {pools} connections"
    chroma = services["chroma"]
    if chroma["entrypoint"] != [
        "chroma",
        "run",
        "--path",
        product.DATA,
        "--host",
        "0.0.0.0",
        "--port",
        "8000",
    ]:
        yield "chroma: command"
    if chroma["command"] != [] or chroma["volumes"] != [f"chroma:{product.DATA}"]:
        yield "chroma: data"
    if product.CHROMA_HEARTBEAT not in chroma["healthcheck"]["test"][3] or chroma["healthcheck"][
        "test"
    ][:3] != ["CMD", "python", "-c"]:
        yield "chroma: health"


def _edge(compose: Any, nginx: Any) -> Iterator[str]:
    if nginx["ports"] != ["80:8080", "443:8443"] or nginx["networks"] != ["edge", "inside"]:
        yield "nginx: ports or networks"
    if nginx["secrets"] != ["tls_certificate", "tls_key"] or len(nginx["volumes"]) != 2:
        yield "nginx: certificate or configuration"
    if nginx["depends_on"] != {
        name: {"condition": "service_healthy"} for name in ("api-a", "api-b")
    }:
        yield "nginx: starts before what it serves"
    if nginx["healthcheck"]["test"] != ["CMD", "nginx", "-t", "-q"]:
        yield "nginx: health"
    if compose["networks"]["inside"] != {"internal": True}:
        yield "the inner network leads outside"


def _migration(service: Any) -> Iterator[str]:
    if service["command"] != ["db", "upgrade"] or service["healthcheck"] != {"disable": True}:
        yield "migrate: command"
    if service["depends_on"] != {"postgres": {"condition": "service_healthy"}}:
        yield "migrate: starts before its database"
    yield from _settings("migrate", service)
    if set(service["networks"]) != {"inside", "outward"} or service["volumes"] != [
        f"objects:{product.DATA}"
    ]:
        yield "migrate: networks or volumes"
    if service["stop_grace_period"] != "60s":
        yield "migrate: is cut short"


def test_the_production_file_is_right() -> None:
    assert list(faults(load("compose.prod.yaml"))) == []


def test_whatever_is_taken_out_of_the_production_file_is_noticed() -> None:
    compose = {
        key: value for key, value in load("compose.prod.yaml").items() if not key.startswith("x-")
    }
    mutants = [path for path in paths(compose) if path != ("name",)]
    survivors = [path for path in mutants if not _noticed(without(compose, path))]
    assert len(mutants) > 500
    assert survivors == []


def _noticed(compose: Any) -> bool:
    try:
        return next(faults(compose), None) is not None
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return True
