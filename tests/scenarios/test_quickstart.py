"""docs/guides/quickstart.md is typed as it stands."""

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
    ann = person("ann")
    text = (ROOT / "docs/guides/quickstart.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    provreg = f'provreg() {{ "{sys.executable}" -m provreg "$@"; }}\n'
    ran = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", provreg + "".join(blocks)],
        cwd=ann.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(ann.folder.parent), "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
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
