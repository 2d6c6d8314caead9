"""Trims JSON schemas of custom resources from a checkout of datreeio/CRDs-catalog; see README.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.manifests.schema import file_name, is_builtin
from tests.manifests.validated import everything

_LARGE = 20_000
_HERE = Path(__file__).parent


def main(checkout: str) -> None:
    used: dict[tuple[str, str], list[Any]] = {}
    for _, item in everything():
        if not is_builtin(item):
            used.setdefault((item["apiVersion"], item["kind"]), []).append(item)
    for (api, kind), items in sorted(used.items()):
        group, version = api.split("/")
        path = f"{group}/{kind.lower()}_{version}.json"
        text = subprocess.run(
            ["git", "-C", checkout, "show", f"HEAD:{path}"], capture_output=True, check=True
        ).stdout
        schema = _clean(json.loads(text))
        if len(json.dumps(schema)) > _LARGE:
            schema = _used(schema, items)
        schema["properties"] |= {"apiVersion": {"const": api}, "kind": {"const": kind}}
        schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
        schema["properties"].pop("status", None)
        (_HERE / file_name(api, kind)).write_text(json.dumps(schema, sort_keys=True) + "\n")


def _clean(node: Any) -> Any:
    """Without texts and extensions; objects with known fields are closed."""
    if isinstance(node, list):
        return [_clean(item) for item in node]
    if not isinstance(node, dict):
        return node
    clean = {
        key: _clean(value)
        for key, value in node.items()
        if not (key == "description" and isinstance(value, str)) and not key.startswith("x-")
    }
    is_open = node.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in node
    if isinstance(clean.get("properties"), dict) and clean.get("type") == "object" and not is_open:
        clean["additionalProperties"] = False
    return clean


def _used(schema: Any, values: list[Any]) -> Any:
    """Only the properties that some value has, and those that are required."""
    if not isinstance(schema, dict):
        return schema
    kept = dict(schema)
    if isinstance(schema.get("properties"), dict):
        mappings = [value for value in values if isinstance(value, dict)]
        present = {key for mapping in mappings for key in mapping} | set(schema.get("required", []))
        kept["properties"] = {
            key: _used(part, [mapping[key] for mapping in mappings if key in mapping])
            for key, part in schema["properties"].items()
            if key in present
        }
        kept.pop("oneOf", None)
        kept.pop("anyOf", None)
    if isinstance(schema.get("items"), dict):
        lists = [value for value in values if isinstance(value, list)]
        kept["items"] = _used(schema["items"], [item for part in lists for item in part])
    return kept


if __name__ == "__main__":
    main(sys.argv[1])
