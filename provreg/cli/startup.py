"""Start-up settings of the command's own process, never of a user's."""

from __future__ import annotations

import gc
import os
import sys


def prepare() -> None:
    """To be called before anything else is imported."""
    # Loading Arrow, numpy and our own modules makes 80,000 objects, and none of them is garbage.
    gc.set_threshold(100_000)
    # We do no linear algebra, and starting the threads for it takes longer than most commands.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def end() -> None:
    """To be called last: what is left is not looked through before it is freed."""
    # DuckDB would complain of every object of its own that then is not freed singly.
    if "duckdb" not in sys.modules:
        gc.freeze()
