"""Which code runs here: git's commit, whether files differ from it, the script, the libraries.

A checkout may be anybody's, and its configuration can name programs for git to run. So the commit
is read from the files that name it, and git compares files under a configuration of our own, with
no hooks, filters, monitors or submodules. Nothing here fails: what is not known is None.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.receipt import Code, Script
from provreg.errors import DamagedError
from provreg.store.files import read_regular

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"refs/[A-Za-z0-9._/@+-]{1,240}")
_SMALL, _PACKED, _SCRIPT = 4096, 64 << 20, 16 << 20
_PATIENCE = 60  # seconds that comparing a checkout may take
_FRAMEWORKS = (
    "accelerate", "catboost", "datasets", "flax", "jax", "keras", "lightgbm", "lightning", "mlx",
    "numpy", "optax", "pandas", "peft", "polars", "pyarrow", "safetensors", "scikit-learn", "scipy",
    "tensorflow", "timm", "tokenizers", "torch", "torchvision", "transformers", "trl", "xgboost",
)  # fmt: skip


def code_revision(script: Path | None, folder: Path) -> Code:
    """The code of `script`, or where there is none (a notebook) of the checkout `folder` is in."""
    start = folder if script is None else script.resolve().parent
    tree = next((folder for folder in (start, *start.parents) if _exists(folder / ".git")), None)
    found = None if script is None else _script(script.resolve(), tree)
    if tree is None:
        return Code(script=found)
    git = _git_folder(tree)
    commit = None if git is None else _commit(git)
    if git is None or commit is None:
        return Code(script=found)
    return Code(commit, _is_dirty(git, tree, commit), found)


def running_script() -> Path | None:
    """The file that Python was started with, None for a notebook or an interactive session."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if name is None else Path(name)


def environment() -> dict[str, str]:
    """Versions of Python, the system, provreg, and the frameworks that are loaded."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    loaded = [name for name in _FRAMEWORKS if _module(name) in sys.modules]
    for name in ("provreg", *loaded):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _module(distribution: str) -> str:
    return {"scikit-learn": "sklearn"}.get(distribution, distribution)


def _script(path: Path, tree: Path | None) -> Script | None:
    name = path.relative_to(tree) if tree is not None else Path(path.name)
    data = _read(path, _SCRIPT)
    shown = name.as_posix().encode(errors="replace").decode()
    return None if data is None else Script(shown, sha256_digest(data))


def _git_folder(tree: Path) -> Path | None:
    """The repository of a checkout; a further worktree names its own in a file."""
    git = tree / ".git"
    if git.is_dir():
        return git
    named = re.fullmatch(r"gitdir: (.+)", _text(git) or "")
    return tree / named[1] if named else None


def _common(git: Path) -> Path:
    """The folder that a worktree's repository shares with others."""
    named = _text(git / "commondir")
    return git / named if named else git


def _commit(git: Path) -> str | None:
    head = _text(git / "HEAD") or ""
    if _COMMIT.fullmatch(head):
        return head
    ref = head.removeprefix("ref: ")
    if _REF.fullmatch(ref) is None or ".." in ref:
        return None
    common = _common(git)
    found = _text(git / ref) or _text(common / ref) or ""
    if _COMMIT.fullmatch(found):
        return found
    packed = (_read(common / "packed-refs", _PACKED) or b"").decode(errors="replace")
    line = re.search(rf"^([0-9a-f]+) {re.escape(ref)}$", packed, re.MULTILINE)
    return line[1] if line and _COMMIT.fullmatch(line[1]) else None


def _is_dirty(git: Path, tree: Path, commit: str) -> bool | None:
    """Whether a file under git differs from `commit`, by a repository made for the question."""
    program = shutil.which("git")
    if program is None:
        return None
    format_of = "sha1" if len(commit) == 40 else "sha256"
    configuration = (
        "[core]\nrepositoryformatversion = 1\nbare = false\n"
        f"[extensions]\nobjectFormat = {format_of}\n"
    )
    command = ["status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all"]
    try:
        with tempfile.TemporaryDirectory() as own:
            (Path(own) / "refs").mkdir()
            (Path(own) / "HEAD").write_text(commit + "\n")
            (Path(own) / "config").write_text(configuration)
            # With its times: git trusts sizes and times of files older than its index.
            shutil.copy2(git / "index", Path(own) / "index")
            ran = subprocess.run(
                [program, *command],
                cwd=own,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": own,
                    "GIT_DIR": own,
                    "GIT_WORK_TREE": str(tree),
                    "GIT_OBJECT_DIRECTORY": str((_common(git) / "objects").resolve()),
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_GLOBAL": os.devnull,
                    "GIT_ATTR_NOSYSTEM": "1",
                    "GIT_NO_LAZY_FETCH": "1",
                    "GIT_OPTIONAL_LOCKS": "0",
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=_PATIENCE,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(ran.stdout)


def _text(path: Path) -> str | None:
    data = _read(path, _SMALL)
    return None if data is None else data.decode(errors="replace").strip()


def _read(path: Path, limit: int) -> bytes | None:
    try:
        return read_regular(path, limit)
    except (OSError, ValueError, DamagedError):
        return None


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  (a folder one may not look into has none)
