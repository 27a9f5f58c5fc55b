"""provreg and the second reader decide broken registries alike: `tests/fuzz_registry.py`."""

from __future__ import annotations

from pathlib import Path

import fuzz_registry
import pytest

from provreg.flows.verify.revocations import Chain


@pytest.mark.parametrize("seed", [0, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_broken_registries_are_decided_alike(home: Path, tmp_path: Path, seed: int) -> None:
    found, tried = fuzz_registry.run(60, seed, tmp_path, most=120)
    assert found is None, found
    # Changes get as far as the last step, and some change nothing that matters.
    assert all(f"{step}: " in tried for step in ("None", 1, 4, 8, 9, 11)), tried


@pytest.mark.long
@pytest.mark.timeout(0)
def test_broken_registries_are_decided_alike_for_long(home: Path, tmp_path: Path) -> None:
    found, _ = fuzz_registry.run(600, 2_000_000, tmp_path)
    assert found is None, found


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Chain, "check_holds"), (Chain, "revoking")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_difference_is_found(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    monkeypatch.setattr(owner, name, lambda *_, **__: None)
    found, _ = fuzz_registry.run(60, 0, tmp_path, most=400)
    assert found is not None
