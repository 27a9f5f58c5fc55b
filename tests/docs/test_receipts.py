"""What docs/guides/receipts.md shows is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import provreg
from provreg.registry import Registry
from provreg.trust.keys import generate, write_key

DOCUMENT = Path(__file__).parents[2] / "docs" / "guides" / "receipts.md"


def test_the_receipt_of_the_example_leads_to_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"PROVREG_{name}", str(tmp_path / f".{name}"))
    monkeypatch.chdir(tmp_path)
    Registry.init(Path(".provreg"))
    write_key(generate("p256"), Path("team.key"), "", unencrypted=True)
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/3.jpg"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).write_text(name)
    photos = provreg.Ingestion("photos", (Path("photos"),), source="camera-7", labeler="ann")
    Registry.open().ingest(photos, provreg.KeySigner.load("team.key"))
    (example,) = re.findall(
        r"<!-- run -->\n```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL
    )

    def python(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    receipt = python("-c", example).strip()
    assert receipt.startswith("sha256:")
    trusting = ("--key", "team.key.pub")
    shown = python("-m", "provreg", "show", "model:out/model.bin", *trusting)
    assert receipt in shown
    assert "2 of 3 samples, 4 deliveries in total" in shown
    samples = python("-m", "provreg", "show", "model:out", "--samples", *trusting)
    assert samples == "photos@1 cat/1.jpg\nphotos@1 cat/2.jpg\n"
    assert "is verified" in python("-m", "provreg", "verify", "model:out", *trusting)
