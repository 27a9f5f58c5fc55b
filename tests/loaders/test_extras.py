"""Frameworks are optional: nothing imports one but its own loader, which says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FRAMEWORKS = {
    "huggingface": "datasets",
    "pandas": "pandas",
    "polars": "polars",
    "webdataset": "webdataset",
}


SCRIPT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {framework!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from provreg.errors import UsageError
try:
    import provreg.loaders.{loader}
except UsageError as error:
    print(error.message, error.hint)
"""


@pytest.mark.parametrize(("loader", "framework"), FRAMEWORKS.items())
def test_a_missing_framework_is_one_error_that_names_the_extra(loader: str, framework: str) -> None:
    script = SCRIPT.format(loader=loader, framework=framework)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == (
        f"this needs {framework}, which is not installed pip install 'provreg[{loader}]'\n"
    ), done.stderr


def test_loading_imports_no_framework(pets: Path, bench: Any) -> None:
    script = (
        "import sys, provreg\n"
        f"list(provreg.load('pets@1', data={str(pets)!r}, key={str(bench.key_file())!r},"
        f" registry={str(bench.registry)!r}))\n"
        "print(sorted({'torch', 'datasets', 'webdataset', 'grain', 'polars', 'tensorflow', 'art',"
        " 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr
