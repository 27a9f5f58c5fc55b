"""What the command's own process is spared: threads of linear algebra, pandas, and most looking
for garbage.

None of this is done to a user's process: in one an array may well be made of a pandas series.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def prepare() -> None:
    """To be called before anything else is imported."""
    # Loading Arrow, numpy and our own modules makes 80,000 objects, and none of them is garbage.
    gc.set_threshold(100_000)
    # We do no linear algebra, and starting the threads for it takes longer than most commands.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "pyarrow" not in sys.modules and _ArrowFinder not in sys.meta_path:
        sys.meta_path.insert(0, _ArrowFinder)


def end() -> None:
    """To be called last: what is left is not looked through before it is freed."""
    # DuckDB would complain of every object of its own that then is not freed singly.
    if "duckdb" not in sys.modules:
        gc.freeze()


class _ArrowFinder:
    """Finds Arrow where others do, and lets it look for pandas as soon as it is loaded.

    Arrow looks once, with the first array it makes, and would load pandas (170 ms) to see whether
    it is given something of it. What is of pandas' own making (`to_pandas`) looks for it again.
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        if name != "pyarrow":
            return None
        sys.meta_path.remove(_ArrowFinder)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_alone(module: ModuleType) -> None:
                load(module)
                _look_for_pandas(module)

            spec.loader.exec_module = load_alone  # type: ignore[method-assign]
        return spec


class _NoPandas:
    """Finds no pandas, and leaves everything else to other finders."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _look_for_pandas(arrow: ModuleType) -> None:
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
        try:
            arrow.array([None])
        finally:
            sys.meta_path.remove(_NoPandas)
