"""What starting costs: a library is imported when it is needed, not before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = frozenset(
    {
        "cryptography", "duckdb", "logging", "numpy", "platformdirs", "pyarrow", "pydantic",
        "rfc8785", "rich", "sigstore", "tomllib", "typer",
    }
)  # fmt: skip
# What a command cannot do without.
LIGHT = frozenset({"cryptography", "platformdirs"})
# With which words become values: logging is pydantic's.
TYPER = frozenset({"logging", "pydantic", "typer"})
HELP = """
import sys
from provreg.cli import main
sys.argv = ["provreg", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
REPORT = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"


def _loaded(script: str, folder: Path = ROOT) -> set[str]:
    """The libraries a fresh interpreter has loaded after `script`, run in `folder`."""
    result = subprocess.run(
        [sys.executable, "-c", script + REPORT],
        cwd=folder,
        check=False,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert result.returncode == 0, result.stderr
    modules: list[str] = json.loads(result.stderr.splitlines()[-1])
    return {name.partition(".")[0] for name in modules}


def test_import_provreg_loads_nothing_heavy() -> None:
    loaded = _loaded("import provreg")
    assert "provreg" in loaded
    assert loaded & HEAVY == set()


def test_help_loads_nothing_heavy() -> None:
    loaded = _loaded(HELP.format(arguments=["--help"]))
    assert loaded & HEAVY == {"typer"}


@pytest.mark.parametrize("command", ["ingest", "verify", "diff"])
def test_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    loaded = _loaded(HELP.format(arguments=[command, "--help"]))
    assert loaded & HEAVY <= TYPER


def test_a_short_command_looks_for_no_garbage(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("key\n1\n", "utf-8")
    at = ["--registry", str(tmp_path / "registry")]
    _loaded(HELP.format(arguments=["init", *at[1:]]))
    arguments = ["ingest", str(tmp_path / "data.csv"), "--name", "rows", "--source", "us"]
    before = "import gc\npasses = []\ngc.callbacks.append(lambda phase, _: passes.append(phase))\n"
    # Some come before the command can say so; it would be a hundred.
    after = "assert passes.count('start') < 20 and gc.get_freeze_count() > 50_000\n"
    loaded = _loaded(before + HELP.format(arguments=[*arguments, "--dry-run", *at]) + after)
    assert "pyarrow" in loaded


def test_neither_verifying_nor_ingesting_the_same_again_loads_arrow(tmp_path: Path) -> None:
    data, key, registry = tmp_path / "data/cat", tmp_path / "my.key", tmp_path / "registry"
    data.mkdir(parents=True)
    (data / "1.jpg").write_bytes(b"picture")
    for path in (data / "1.jpg", data):
        os.utime(path, (1, 1))
    ingest = [
        "ingest",
        str(data.parent),
        "--name",
        "pets",
        "--source",
        "us",
        "--sign",
        f"key:{key}",
    ]
    _loaded(HELP.format(arguments=["init", str(registry)]))
    _loaded(HELP.format(arguments=["key", "generate", "--no-passphrase", "--out", str(key)]))
    at = ["--registry", str(registry)]
    ingest += ["--sign", f"key:{key}", *at]
    # Two hours from now, so that files of this moment count as settled.
    script = "import time\nnow = time.time_ns\ntime.time_ns = lambda: now() + 7200 * 10**9\n"
    verify = ["verify", "pets", "--key", f"{key}.pub", *at]
    assert "pyarrow" in _loaded(script + HELP.format(arguments=ingest))
    for _ in range(2):
        assert _loaded(HELP.format(arguments=verify)) & HEAVY <= LIGHT | TYPER
        assert _loaded(script + HELP.format(arguments=ingest)) & HEAVY <= LIGHT | TYPER


def test_heavy_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "eager"
    package.mkdir()
    (package / "__init__.py").write_text("import eager.table\n", "utf-8")
    (package / "table.py").write_text("import numpy\n", "utf-8")
    assert _loaded("import eager", tmp_path) & HEAVY == {"numpy"}
