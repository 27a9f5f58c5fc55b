"""The first minute: what `import provreg` alone makes available, and what tab completion shows."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import provreg
from provreg.errors import NotInstalledError

LOADERS = ["arrow", "grain", "huggingface", "numpy", "pandas", "polars", "torch", "transformers",
           "webdataset"]  # fmt: skip
MISSING = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import provreg
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


def test_import_provreg_alone_makes_every_loader_available() -> None:
    done = run(
        "import provreg, sys\n"
        "assert 'provreg.loaders' not in sys.modules\n"
        "print(provreg.loaders.arrow.reader.__name__, provreg.errors.UsageError.__name__)\n"
        "print(provreg.loaders.torch.ImageDataset.__name__)\n"
    )
    assert done.stdout == "reader UsageError\nImageDataset\n", done.stderr


def test_missing_framework_is_an_error_at_the_first_use_that_names_the_extra() -> None:
    done = run(MISSING + "provreg.loaders.torch.ImageDataset")
    assert done.stdout == ""
    last = done.stderr.splitlines()[-2:]
    assert last == [
        "provreg.errors.NotInstalledError: this needs torch, which is not installed",
        "hint: pip install 'provreg[torch]'",
    ]


def test_missing_framework_keeps_nobody_from_looking_around() -> None:
    """Help and tab completion ask for every attribute."""
    done = run(
        MISSING + "import inspect, rlcompleter\n"
        "print('torch' in dict(inspect.getmembers(provreg.loaders)))\n"
        "print(hasattr(provreg.loaders, 'torch'), hasattr(provreg.loaders, 'arrow'))\n"
        "names = rlcompleter.Completer({'provreg': provreg})\n"
        "print(names.complete('provreg.loaders.to', 0))\n"
    )
    assert done.stdout == "False\nFalse True\nprovreg.loaders.torch\n", done.stderr


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    names = dir(provreg)
    assert names == sorted({*provreg.__all__, "errors", "loaders", "__version__"})
    assert not {"Any", "TYPE_CHECKING", "annotations", "import_module", "version"} & {*names}
    assert dir(provreg.loaders) == LOADERS
    for name in names:
        assert getattr(provreg, name) is not None


def test_every_loader_is_listed() -> None:
    """A module beside them that is not public is imported by other modules only."""
    folder = Path(inspect.getfile(provreg.loaders)).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    private = {"composition", "images", "load", "samples", "selection", "training"}
    assert modules - private == {*LOADERS}


@pytest.mark.parametrize("name", ["lod", "tensorflow", "__wrapped__"])
def test_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'provreg' has no attribute '{name}'"):
        getattr(provreg, name)
    with pytest.raises(AttributeError, match=f"'provreg.loaders' has no attribute '{name}'"):
        getattr(provreg.loaders, name)


def test_not_installed_error_is_a_usage_error_with_its_exit_code() -> None:
    error = NotInstalledError("this needs torch", hint="install it")
    assert (error.exit_code, error.kind, error.hint) == (2, "usage", "install it")
