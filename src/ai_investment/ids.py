"""Prefixed, time-ordered identifiers: `job_019…` (UUIDv7 as 32 hex digits)."""

from __future__ import annotations

import uuid_utils


def new_id(prefix: str) -> str:
    """A new identifier; later ones of one process sort after earlier ones."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"
