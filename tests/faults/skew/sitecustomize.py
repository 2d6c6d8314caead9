"""On PYTHONPATH, this moves a Python process's clock by CLOCK_SKEW seconds before anything else runs.

Only the wall clock moves: what Python code reads as the time of day. Nothing of ours is patched.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import os
import time
from typing import Any

_SKEW = float(os.environ["CLOCK_SKEW"])
_time, _time_ns, _now = time.time, time.time_ns, datetime.datetime.now


def _skewed_now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> Any:
    return _now(tz) + datetime.timedelta(seconds=_SKEW)


time.time = lambda: _time() + _SKEW
time.time_ns = lambda: _time_ns() + int(_SKEW * 1e9)
# The class is immutable from Python, and libraries hold references to it: its own table is changed.
_table: Any = gc.get_referents(datetime.datetime.__dict__)[0]
_table["now"] = classmethod(_skewed_now)
ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
