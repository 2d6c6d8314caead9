"""Received files, stored under the SHA-256 of their bytes: writing twice is harmless."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from pathlib import Path


class Objects:
    """A folder of files. Keys are content hashes in hex."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, data: bytes) -> str:
        """Store; returns the key. The file is complete or absent, also after a crash."""
        key = hashlib.sha256(data).hexdigest()
        await asyncio.to_thread(self._write, key, data)
        return key

    async def get(self, key: str) -> bytes:
        """Raises FileNotFoundError."""
        return await asyncio.to_thread(self._path(key).read_bytes)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{key}.{secrets.token_hex(4)}.partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
