"""Builds of provreg's C sources that end at the first wrong access, and tests run with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADERS = Path(sysconfig.get_path("include"))
# None where nothing can be compiled.
COMPILER = shutil.which("cc") if (HEADERS / "Python.h").is_file() else None


def run_sanitized(
    folder: Path, source: str, tests: Sequence[Path], options: str = "-O1 -g", text: str = ""
) -> None:
    """Runs `tests` with the C file `source` (below provreg/) compiled anew, in a copy in `folder`.

    `text` stands in for its own. Raises CalledProcessError.
    """
    assert COMPILER is not None
    package = folder / "provreg"
    shutil.copytree(ROOT / "provreg", package, ignore=shutil.ignore_patterns("*.so"))
    copied = package / source
    if text:
        copied.write_text(text)
    built = copied.with_suffix(".abi3.so")
    build = [COMPILER, *options.split(), "-shared", "-fPIC", "-fsanitize=address,undefined",
             "-fno-sanitize-recover=all", f"-I{HEADERS}", copied, "-o", built]  # fmt: skip
    subprocess.run(build, check=True)
    runtime = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    environment = os.environ | {
        "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1",
        "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0",
    }  # fmt: skip
    module = "provreg." + source.removesuffix(".c").replace("/", ".")
    names = [str(test) for test in tests]
    for code in (
        f"import {module} as it; assert it.__file__ == {str(built)!r}",
        f"import pytest; exit(pytest.main(['-q', *{names!r}]))",
    ):
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT)
