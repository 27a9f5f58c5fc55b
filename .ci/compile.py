"""Compiles the C sources of provreg into a wheel or, for development, beside themselves.

Where that cannot be done, for want of a C compiler or of Python's headers, they are left out with a
warning: provreg works without them, more slowly (ADR 21 and 22).
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

# And what is slower without them.
_SOURCES = {
    "provreg/_native/lanes.c": "rows are hashed",
    "provreg/_native/files.c": "small files are read, and unchanged ones recognised,",
}


class Compile(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="provreg-")
        for source, slower in _SOURCES.items():
            beside = Path(self.root, source).parent
            if version == "editable":
                # One that was made of another source must not stay where none can be made.
                for old in beside.glob(f"{Path(source).stem}.*.so"):
                    old.unlink()
            compiled = self._compiled(source)
            if compiled is None:
                self.app.display_warning(f"{source} was not compiled: {slower} more slowly")
            elif version == "editable":
                shutil.copy(compiled, beside)
            else:
                place = Path(source).with_name(compiled.name)
                build_data["force_include"][str(compiled)] = place.as_posix()
                build_data["pure_python"] = False
                build_data["tag"] = f"cp311-abi3-{re.sub('[-.]', '_', get_platform())}"

    def finalize(self, *_: object) -> None:
        self._folder.cleanup()

    def _compiled(self, source: str) -> Path | None:
        name = source.removesuffix(".c").replace("/", ".")
        extension = Extension(
            name,
            [str(Path(self.root, source))],
            extra_compile_args=["-O3"],
            py_limited_api=True,
            optional=True,
        )
        command = build_ext(Distribution({"name": "provreg", "ext_modules": [extension]}))
        folder = Path(self._folder.name, name)
        command.build_lib, command.build_temp = str(folder), str(folder / "objects")
        command.ensure_finalized()
        command.run()
        made = [Path(file) for file in command.get_outputs()]
        return made[0] if made and made[0].is_file() else None
