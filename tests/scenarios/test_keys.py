"""docs/guides/keys.md and moving.md are typed as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAID = {
    "keys.md": (
        "pets: 2 versions signed",
        "newcomers: exit code 4",
        "the newest version: exit code 4",
        "pets@2 is verified",
        "pets@4 is verified",
    ),
    "moving.md": ("pets@1 is verified",),
}


@pytest.mark.parametrize("page", SAID)
def test_guide_does_what_it_says(person: Callable[[str], Any], page: str) -> None:
    ann = person("ann")
    text = (ROOT / "docs/guides" / page).read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    provreg = f'provreg() {{ "{sys.executable}" -m provreg "$@"; }}\n'
    ran = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", provreg + "".join(blocks)],
        cwd=ann.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(ann.folder.parent), "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for said in SAID[page]:
        assert said in ran.stdout, ran.stdout + ran.stderr
    if page == "keys.md":
        assert len(re.findall("pets: [12] versions signed", ran.stdout)) == 3
        assert "not signed: pets@3: step 8" in ran.stderr
    else:
        # The dataset is known at the new place, and stays so when the old one is forgotten.
        assert "warning: first use" not in ran.stderr
