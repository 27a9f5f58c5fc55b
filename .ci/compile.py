"""Compiles provreg/core/lanes.c into a wheel or, for development, beside its source.

Where that cannot be done, for want of a C compiler or of Python's headers, it is left out with a
warning: provreg works without it, more slowly (docs/adr/0021-rows-in-lanes.md).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from sysconfig import get_platform
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

_NAME = "provreg.core.lanes"
_SOURCE = "provreg/core/lanes.c"


class Compile(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        beside = Path(self.root, _SOURCE).parent
        if version == "editable":
            # One that was made of another source must not stay where none can be made.
            for old in beside.glob("lanes.*.so"):
                old.unlink()
        self._folder = tempfile.TemporaryDirectory(prefix="provreg-")
        compiled = self._compiled(Path(self._folder.name))
        if compiled is None:
            self.app.display_warning(f"{_SOURCE} was not compiled: rows are hashed more slowly")
            return
        if version == "editable":
            shutil.copy(compiled, beside)
            return
        place = Path(_SOURCE).with_name(compiled.name)
        build_data["force_include"][str(compiled)] = place.as_posix()
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{re.sub('[-.]', '_', get_platform())}"

    def finalize(self, *_: object) -> None:
        self._folder.cleanup()

    def _compiled(self, folder: Path) -> Path | None:
        extension = Extension(
            _NAME,
            [str(Path(self.root, _SOURCE))],
            extra_compile_args=["-O3"],
            py_limited_api=True,
            optional=True,
        )
        command = build_ext(Distribution({"name": "provreg", "ext_modules": [extension]}))
        command.build_lib, command.build_temp = str(folder), str(folder / "objects")
        command.ensure_finalized()
        command.run()
        made = [Path(file) for file in command.get_outputs()]
        return made[0] if made and made[0].is_file() else None
