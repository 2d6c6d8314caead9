"""How often a fault is tried, each time at other moments: FAULT_SEEDS in the environment."""

from __future__ import annotations

import os

import pytest

COUNT = int(os.environ.get("FAULT_SEEDS") or 1)
seeded = pytest.mark.parametrize("seed", range(COUNT))
thorough = pytest.mark.skipif(COUNT == 1, reason="slow, and shown faster by another test here")
