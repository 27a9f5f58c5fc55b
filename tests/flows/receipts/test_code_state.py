"""Which code runs: read from a checkout without letting it run anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.receipt import Code, Script
from provreg.flows.receipts.code_state import code_revision, environment

GIT = shutil.which("git")
git_is_there = pytest.mark.skipif(GIT is None, reason="needs the git binary")
SCRIPT = b"print('training')\n"


def git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [GIT or "", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments],
        cwd=folder,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "src").mkdir(parents=True)
    (folder / "src/train.py").write_bytes(SCRIPT)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def revision(folder: Path) -> Code:
    return code_revision(folder / "src/train.py", folder)


@git_is_there
def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    script = Script("src/train.py", sha256_digest(SCRIPT))
    assert revision(checkout) == Code(head, False, script)
    assert code_revision(None, checkout) == Code(head, False, None)
    git(checkout, "pack-refs", "--all")
    git(checkout, "gc", "-q")
    assert revision(checkout).commit == head
    git(checkout, "checkout", "-q", "--detach")
    assert revision(checkout).commit == head


@git_is_there
@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_is_dirty_staged_or_not(checkout: Path, staged: bool) -> None:
    (checkout / "src/train.py").write_bytes(SCRIPT + b"# changed\n")
    if staged:
        git(checkout, "add", "-A")
    found = revision(checkout)
    assert found.dirty
    assert found.script == Script("src/train.py", sha256_digest(SCRIPT + b"# changed\n"))


@git_is_there
def test_a_change_of_same_size_in_the_same_second_is_dirty(checkout: Path) -> None:
    (checkout / "src/train.py").write_bytes(SCRIPT.replace(b"training", b"trainin?"))
    assert revision(checkout).dirty


@git_is_there
def test_a_further_worktree_has_its_own_commit(checkout: Path) -> None:
    git(checkout, "worktree", "add", "-q", "-b", "other", "../other")
    other = checkout.parent / "other"
    (other / "new").touch()
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "second")
    assert revision(other).commit == git(other, "rev-parse", "HEAD") != revision(checkout).commit
    assert revision(other).dirty is False


@git_is_there
def test_a_hostile_checkout_runs_nothing(checkout: Path) -> None:
    """Monitor, filter, hooks and include: each is a way in which a checkout runs its programs."""
    mark = checkout.parent / "pwned"
    command = f"touch {mark}"
    (checkout / ".gitattributes").write_text("* filter=evil diff=evil\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "attributes")
    hooks = checkout / ".git/hooks"
    shutil.rmtree(hooks, ignore_errors=True)
    hooks.mkdir()
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\n{command}\n")
        (hooks / name).chmod(0o755)
    (checkout / "config").write_text(f'[filter "evil"]\nclean = {command}\nprocess = {command}\n')
    with (checkout / ".git/config").open("a") as file:
        file.write(
            f'[include]\npath = {checkout}/config\n[core]\nfsmonitor = "{command}"\n'
            f'[diff "evil"]\ncommand = "{command}"\ntextconv = "{command}"\n'
        )
    (checkout / "src/train.py").write_bytes(SCRIPT + b"# changed\n")
    assert revision(checkout).dirty
    assert not mark.exists()
    # The same question asked in the usual way runs it: the attack is a real one.
    subprocess.run([GIT or "", "status"], cwd=checkout, check=False, capture_output=True)
    assert mark.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HEAD", "ref: ../../../etc/passwd"),
        ("HEAD", "ref: refs/heads/../../../../secret"),
        ("HEAD", "z" * 40),
        ("HEAD", ""),
        ("refs/heads/main", "not a commit"),
    ],
)
def test_a_repository_that_names_no_commit_has_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "secret").write_text("1" * 40)
    folder = tmp_path / "checkout"
    (folder / ".git/refs/heads").mkdir(parents=True)
    (folder / ".git/HEAD").write_text("ref: refs/heads/main")
    (folder / ".git" / name).write_text(text)
    assert code_revision(None, folder) == Code()


def test_git_files_that_are_pipes_or_loops_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git/HEAD")
    assert code_revision(None, tmp_path) == Code()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/.git").write_text("gitdir: .\0git")
    assert code_revision(None, tmp_path / "inner") == Code()


def test_without_git_the_script_is_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(SCRIPT)
    found = code_revision(tmp_path / "train.py", tmp_path)
    assert found == Code(script=Script("train.py", sha256_digest(SCRIPT)))


@git_is_there
def test_without_the_git_program_the_commit_is_still_known(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert (revision(checkout).commit, revision(checkout).dirty) == (head, None)


def test_the_environment_names_python_and_what_is_loaded() -> None:
    found = environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "numpy" in found
    assert "xgboost" not in found
