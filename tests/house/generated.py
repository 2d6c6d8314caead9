"""Files that are written by code: `.env.example`, `docs/openapi.json`, `docs/calculators.md`. `--check` fails when one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from ai_investment.app import openapi_document
from ai_investment.calculators.registry import CALCULATORS
from ai_investment.calculators.tools import input_schema
from ai_investment.settings import env_example

ROOT = Path(__file__).parents[2]


def contents() -> dict[Path, str]:
    openapi = msgspec.json.format(msgspec.json.encode(openapi_document(), order="sorted"))
    return {
        ROOT / ".env.example": env_example(),
        ROOT / "docs" / "openapi.json": openapi.decode() + "\n",
        ROOT / "docs" / "calculators.md": calculators_page(),
    }


def calculators_page() -> str:
    """Every calculator with its formula, inputs, assumptions and sources."""
    lines = [
        "# Calculators",
        "",
        "Written from the code by `just generate`. Rates and returns are fractions: 0.05 is 5%.",
        "Conventions and why: [decision 0009](decisions/0009-conventions-of-calculators.md).",
    ]
    for item in CALCULATORS.values():
        schema = input_schema(item)
        lines += [
            "",
            f"## {item.title} (`{item.name}`)",
            "",
            item.summary,
            "",
            f"    {item.formula}",
            "",
        ]
        lines += ["| input | |", "|---|---|"]
        for name, field in schema["properties"].items():
            needed = "Needed. " if name in schema["required"] else ""
            default = (
                f" Default {field['default']:g}." if isinstance(field.get("default"), float) else ""
            )
            lines.append(f"| `{name}` | {needed}{field.get('description', '')}{default} |")
        lines += ["", *(f"- {text}" for text in item.assumptions)]
        lines += ["", "Sources: " + "; ".join(item.sources) + "."]
    return "\n".join(lines) + "\n"


def main() -> int:
    stale = [
        path for path, text in contents().items() if not path.exists() or path.read_text() != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `just generate`")
        return 1 if stale else 0
    for path in stale:
        path.write_text(contents()[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
