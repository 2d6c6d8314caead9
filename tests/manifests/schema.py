"""Strict schemas: Kubernetes' own from `kubernetes-validate`, custom resources' from schemas/."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

from tests.manifests.render import Object

KUBERNETES = "v1.34.0"
_CUSTOM = Path(__file__).parent / "schemas"


def is_builtin(item: Object) -> bool:
    """Kubernetes' groups: no dot, or of k8s.io."""
    group = item["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith("k8s.io")


def file_name(api: str, kind: str) -> str:
    return f"{kind.lower()}-{api.replace('/', '-')}.json"


def problems(item: Object) -> list[str]:
    """What the schema finds wrong; a kind without a schema is wrong."""
    name = f"{item.get('kind')}/{(item.get('metadata') or {}).get('name')}"
    try:
        validator = _validator(item["apiVersion"], item["kind"], is_builtin(item))
    except (KeyError, FileNotFoundError):
        return [f"{name}: no schema for {item.get('apiVersion')} {item.get('kind')}"]
    return [
        f"{name}: {'.'.join(map(str, error.instance_path))}: {error.message[:200]}"
        for error in validator.iter_errors(item)
    ]


@cache
def _validator(api: str, kind: str, builtin: bool) -> Draft202012Validator:
    if not builtin:
        return Draft202012Validator(json.loads((_CUSTOM / file_name(api, kind)).read_text()))
    group, _, version = api.rpartition("/")
    short = f"{group.split('.')[0]}-{version}" if group else version
    schema = _kubernetes(f"{kind.lower()}-{short}.json")
    return Draft202012Validator(schema, registry=_registry())


@cache
def _registry() -> Registry:
    return Registry([(f"{_BASE}_definitions.json", _kubernetes("_definitions.json"))])


_BASE = "json-schema:///"


def _kubernetes(name: str) -> Any:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"{KUBERNETES}-local-strict"
    return json.loads((folder / name).read_text())
