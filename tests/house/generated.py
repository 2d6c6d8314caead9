"""Files that are written by code: `.env.example` and `docs/openapi.json`. `--check` fails when one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from ai_investment.app import openapi_document
from ai_investment.settings import env_example

ROOT = Path(__file__).parents[2]


def contents() -> dict[Path, str]:
    openapi = msgspec.json.format(msgspec.json.encode(openapi_document(), order="sorted"))
    return {
        ROOT / ".env.example": env_example(),
        ROOT / "docs" / "openapi.json": openapi.decode() + "\n",
    }


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
