"""What docs/guides/library.md shows is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import provreg
from provreg.trust.keys import generate, write_key

DOCUMENT = Path(__file__).parents[2] / "docs" / "guides" / "library.md"


def test_the_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"PROVREG_{name}", str(tmp_path / f".{name}"))
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/3.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    write_key(generate("p256"), tmp_path / "team.key", "", unencrypted=True)
    examples = re.findall(
        r"<!-- run -->\n```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for example in examples
    ]
    published, compared, trained = printed
    assert published.startswith("1 sha256:")
    assert "relabeled cat/1.jpg cat dog" in compared
    assert "('relabeled', 'renamed') dog/1.jpg label mallory" in compared
    assert "1 mallory" in compared
    assert trained == "cat/2.jpg cat 9\ndog/1.jpg dog 9\ndog/3.jpg dog 9\n"


def test_every_public_name_is_in_the_document() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in provreg.__all__ if f"`{name}" not in text] == []
