"""Guides are typed as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def test_quickstart_does_what_it_says(person: Callable[[str], Any]) -> None:
    ran = _type_guide("quickstart", person("ann").folder)
    for said in (
        "pets@1 published: 6 samples, 6 injected",
        "pets@1 is verified: 6 samples in data as signed",
        "exit code 4",
        "pets@2 published: 6 samples, 1 relabeled, 1 modified, 1 renamed",
        "provreg.lock: pets@1 is pinned",
        "pets@1 is verified: 6 samples in good as signed",
        "no changes",
    ):
        assert said in ran.stdout
    assert "1 changed, 1 relabeled" in ran.stderr


def test_operations_do_what_they_say(person: Callable[[str], Any]) -> None:
    ran = _type_guide("operations", person("ann").folder)
    stages = (
        "no damage found",
        "is damaged",
        "exit code 5",
        "no damage found",
        "pets@2 published: 7 samples, 1 injected",
        "exit code 4",
        "2 versions (1, 2)",
        "pets@1 is verified",
        "pets@2 published: 7 samples, 1 injected",
        "pets@2 is verified",
        "the index agrees with the objects",
    )
    at = 0
    for said in stages:
        assert said in ran.stdout[at:], ran.stdout
        at = ran.stdout.index(said, at) + len(said)
    assert "pets went back" in ran.stderr
    # The dataset is known at the new place, and stays so when the old one is forgotten.
    moved = ran.stdout.split("the index agrees")[0]
    assert moved.count("pets@2 is verified") == 3
    assert ran.stderr.count("warning: first use") == 1


def test_keys_do_what_they_say(person: Callable[[str], Any]) -> None:
    ran = _type_guide("keys", person("ann").folder)
    for said in (
        "pets: 2 versions signed",
        "newcomers: exit code 4",
        "the newest version: exit code 4",
        "pets@2 is verified",
        "pets@4 is verified",
    ):
        assert said in ran.stdout
    assert len(re.findall("pets: [12] versions signed", ran.stdout)) == 3
    assert "not signed: pets@3: step 8" in ran.stderr


def _type_guide(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs all of a guide's `sh` blocks as one session in `folder`."""
    text = (ROOT / f"docs/guides/{name}.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    provreg = f'provreg() {{ "{sys.executable}" -m provreg "$@"; }}\n'
    ran = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", provreg + "".join(blocks)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran
