"""Counts the modules that one command passes: python -m benchmarks.routes ingest DATA --name …

Every function is counted at its first call, in order. The route has the calls that modules of
`cli`, `registry` and `flows` make: what helpers call is not on it. Class bodies, properties and
special methods are not calls, since a reader does not follow them. A move is a call of another
module than the call before it.
"""

from __future__ import annotations

import ast
import sys
import threading
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import provreg
from provreg.cli import main

PACKAGE = Path(provreg.__file__).parent
MAIN_LINE = frozenset({"cli", "registry", "flows"})


@cache
def _module(file: str) -> str | None:
    path = Path(file)
    if not path.is_relative_to(PACKAGE):
        return None
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@cache
def _properties(file: str) -> frozenset[str]:
    functions = (n for n in ast.walk(ast.parse(Path(file).read_text("utf-8")))
                 if isinstance(n, ast.FunctionDef))  # fmt: skip
    return frozenset(
        function.name
        for function in functions
        if any("property" in ast.unparse(decorator) for decorator in function.decorator_list)
    )


class Route:
    """The modules called by a command, in order."""

    def __init__(self) -> None:
        self.modules: list[str] = []
        self._seen: set[CodeType] = set()

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """A profile function of `sys`."""
        code, caller = frame.f_code, frame.f_back
        module = _module(code.co_filename) if event == "call" else None
        if module is None or code.co_name.startswith(("<", "__")) or code in self._seen:
            return
        self._seen.add(code)
        while caller is not None and _module(caller.f_code.co_filename) is None:
            caller = caller.f_back
        if caller is None or caller.f_code.co_name == "<module>":
            return
        source = _module(caller.f_code.co_filename) or ""
        if source.partition(".")[0] not in MAIN_LINE or code.co_name in _properties(
            code.co_filename
        ):
            return
        if not self.modules or self.modules[-1] != module:
            self.modules.append(module)


if __name__ == "__main__":
    route = Route()
    sys.argv[0] = "provreg"
    sys.setprofile(route.profile)
    threading.setprofile(route.profile)
    try:
        main()
    finally:
        sys.setprofile(None)
        passed = set(route.modules)
        flows = sum(module.startswith("flows.") for module in passed)
        print(
            f"{len(route.modules) - 1} moves, {len(passed)} modules, {flows} of flows",
            file=sys.stderr,
        )
