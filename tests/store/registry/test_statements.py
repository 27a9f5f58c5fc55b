"""Statements, on the example of receipts: create-only, and strangers do not stop anybody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provreg.core.encoding.digest import sha256_digest
from provreg.errors import DamagedError, InputError
from provreg.store.backends.local import LocalBackend
from provreg.store.registry.statements import RECEIPTS, StatementStore


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def runs(tmp_path: Path, reports: list[str]) -> StatementStore:
    return StatementStore(RECEIPTS, LocalBackend(tmp_path), reports.append)


def test_bundles_come_back_under_their_receipt(runs: StatementStore, reports: list[str]) -> None:
    receipt = sha256_digest(b"statement")
    assert runs.add(receipt, b"one") == sha256_digest(b"one")
    runs.add(receipt, b"two")
    runs.add(sha256_digest(b"another"), b"three")
    assert runs.digests() == sorted([receipt, sha256_digest(b"another")])
    assert sorted(data for _, data in runs.bundles(receipt)) == [b"one", b"two"]
    assert reports == []


def test_a_registry_without_runs_has_none(runs: StatementStore) -> None:
    assert runs.digests() == []
    assert list(runs.bundles(sha256_digest(b"statement"))) == []


def test_strangers_among_the_receipts_are_ignored_and_reported(
    runs: StatementStore, tmp_path: Path, reports: list[str]
) -> None:
    receipt = sha256_digest(b"statement")
    runs.add(receipt, b"bundle")
    for name in ("README \x1b[2J", "blake3-" + "0" * 64, "sha256-0", "sha256:" + "0" * 64):
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / RECEIPTS.bundle_key(receipt, "sha256:" + "0" * 64)).write_bytes(b"another's")
    assert runs.digests() == [receipt]
    assert [data for _, data in runs.bundles(receipt)] == [b"bundle"]
    assert len(reports) == 5
    assert not any("\x1b" in report for report in reports)


def test_a_flood_of_receipts_is_cut_and_reported(tmp_path: Path, reports: list[str]) -> None:
    runs = StatementStore(replace(RECEIPTS, limit=3), LocalBackend(tmp_path), reports.append)
    for number in range(4):
        runs.add(sha256_digest(b"%d" % number), b"bundle")
    assert len(runs.digests()) == 3
    assert "more than 3" in reports[0]


def test_an_oversized_or_squatted_bundle_is_refused(runs: StatementStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundle"):
        runs.add(sha256_digest(b"statement"), b"x" * (256 * 1024 + 1))
    planted = tmp_path / RECEIPTS.bundle_key(sha256_digest(b"statement"), sha256_digest(b"bundle"))
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"other bytes")
    with pytest.raises(DamagedError):
        runs.add(sha256_digest(b"statement"), b"bundle")
