"""Receipts of training runs: create-only, and junk from anybody stops nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from provreg.core.encoding.digest import sha256_digest
from provreg.errors import DamagedError, InputError
from provreg.store.backends.local import LocalBackend
from provreg.store.layout import run_key
from provreg.store.registry.runs import Runs


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def runs(tmp_path: Path, reports: list[str]) -> Runs:
    return Runs(LocalBackend(tmp_path), reports.append)


def test_bundles_come_back_under_their_receipt(runs: Runs, reports: list[str]) -> None:
    receipts = {runs.add(b"statement", b"one"), runs.add(b"statement", b"two")}
    assert receipts == {sha256_digest(b"statement")}
    runs.add(b"another", b"three")
    assert runs.receipts() == sorted({*receipts, sha256_digest(b"another")})
    assert sorted(data for _, data in runs.bundles(*receipts)) == [b"one", b"two"]
    assert reports == []


def test_a_registry_without_runs_has_none(runs: Runs) -> None:
    assert runs.receipts() == []
    assert list(runs.bundles(sha256_digest(b"statement"))) == []


def test_strangers_among_the_receipts_are_ignored_and_reported(
    runs: Runs, tmp_path: Path, reports: list[str]
) -> None:
    receipt = runs.add(b"statement", b"bundle")
    for name in ("README \x1b[2J", "blake3-" + "0" * 64, "sha256-0", "sha256:" + "0" * 64):
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / run_key(receipt, "sha256:" + "0" * 64)).write_bytes(b"another's")
    assert runs.receipts() == [receipt]
    assert [data for _, data in runs.bundles(receipt)] == [b"bundle"]
    assert len(reports) == 5
    assert not any("\x1b" in report for report in reports)


def test_a_flood_of_receipts_is_cut_and_reported(
    runs: Runs, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provreg.store.registry.runs.MAX_RUNS", 3)
    for number in range(4):
        runs.add(b"%d" % number, b"bundle")
    assert len(runs.receipts()) == 3
    assert "more than 3" in reports[0]


def test_an_oversized_or_squatted_bundle_is_refused(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundle"):
        runs.add(b"statement", b"x" * (256 * 1024 + 1))
    planted = tmp_path / run_key(sha256_digest(b"statement"), sha256_digest(b"bundle"))
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"other bytes")
    with pytest.raises(DamagedError):
        runs.add(b"statement", b"bundle")
