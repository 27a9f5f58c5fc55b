"""The command line run in this process, and a small registry with an incident in it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provreg.cli.app import run

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_here(*arguments: str | Path, encoding: str = "utf-8") -> Ran:
    """`provreg` with `arguments`, in this process, its output in a pipe."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    before = sys.argv
    sys.argv = ["provreg", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            run()
    finally:
        sys.argv = before
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    assert isinstance(end.value.code, int)
    return Ran(end.value.code, *texts)


@pytest.fixture
def provreg(home: Path) -> Callable[..., Ran]:
    """Runs a command in the new user's empty folder."""
    return run_here


@pytest.fixture(scope="session")
def pets_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pets` begins with, made once."""
    folder = tmp_path_factory.mktemp("pets")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        for variable in ("PROVREG_CACHE", "PROVREG_STATE", "PROVREG_CONFIG"):
            patch.setenv(variable, str(folder / f".{variable}"))
        for variable in ("PROVREG_POLICY", "PROVREG_REGISTRY", "PROVREG_PASSWORD"):
            patch.delenv(variable, raising=False)
        _make_pets(folder)
    return folder


def _make_pets(folder: Path) -> None:
    for number in range(1, 6):
        for kind in ("cat", "dog"):
            for data in ("data", "bad"):
                path = folder / data / kind / f"{number}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{kind} {number}", "utf-8")
    bad = folder / "bad"
    (bad / "dog/evil.txt").write_text("evil", "utf-8")
    (bad / "dog/3.txt").unlink()
    (bad / "dog/2.txt").write_text("overwritten", "utf-8")
    (bad / "cat/1.txt").rename(bad / "dog/moved.txt")
    policy = ['format = "provreg.policy/v1"']
    for name in ("ann", "mallory"):
        assert run_here("key", "generate", "--out", f"{name}.key", "--no-passphrase").code == 0
        key = (folder / f"{name}.key.pub").read_text("utf-8")
        policy += ["[[principal]]", f"name = '{name}'", f"keys = ['''{key}''']"]
    policy += ["[[publish]]", "datasets = ['*']", "principals = ['ann', 'mallory']"]
    (folder / "both.toml").write_text("\n".join(policy), "utf-8")
    (folder / "two.toml").write_text("\n".join([*policy, "threshold = 2"]), "utf-8")
    limits = ["[[publish.limits]]", "kinds = ['injected', 'renamed']", "count = 1", "unless = 2"]
    (folder / "limits.toml").write_text("\n".join(policy + limits), "utf-8")
    for command in (
        ("init",),
        ("ingest", "data", "--source", "web", "--labeler", "ann", "--sign", "key:ann.key"),
        ("ingest", "bad", "--source", "vendor-b", "--labeler", "mallory",
         "--sign", "key:mallory.key", "--policy", "both.toml"),
        ("policy", "init", "--key", "ann.key.pub", "--name", "ann"),
    ):  # fmt: skip
        more = ("--name", "pets") if command[0] == "ingest" else ()
        ran = run_here(*command, *more)
        assert ran.code == 0, ran


@pytest.fixture
def pets(home: Path, pets_once: Path) -> Path:
    """The current folder: `data`, ann's key and policy, and pets@1, published by her.

    Then Mallory, whom the policy does not know, publishes pets@2: of `bad`, where one sample is
    injected, one removed, one overwritten, and one moved to the other class under a new name. Who
    stands here has seen neither. `both.toml` trusts both, `two.toml`
    together; `limits.toml` takes one new name at most.
    """
    for path in pets_once.iterdir():
        if path.is_dir() and not path.name.startswith(".PROVREG"):
            shutil.copytree(path, home / path.name)
        elif path.is_file():
            shutil.copy2(path, home / path.name)
    return home


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The environment for a command in a process of its own: its terminal says the width."""
    ours = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8"}
    callers = {"COLUMNS", "LINES", "NO_COLOR"}
    return {name: value for name, value in os.environ.items() if name not in callers} | ours
