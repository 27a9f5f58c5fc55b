"""What runs in the measured processes: `python -m benchmarks.tasks NAME ARGUMENT…` prints JSON.

A task that times one call itself prints it as `seconds`: its start and imports are not in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

Task = Callable[..., dict[str, Any]]
Result = TypeVar("Result")


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """(wall seconds, result) of one call."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
