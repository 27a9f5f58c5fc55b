from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from provreg.errors import StorageError
from provreg.store.registry.spill import Spill


def test_what_was_added_comes_back_in_order_and_again() -> None:
    spill = Spill()
    added = [b"x" * 3_000_000, b"", b"y"]
    for data in added:
        spill.append(data)
    assert len(spill) == 3
    assert list(spill) == list(spill) == added


def test_nothing_is_left_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spill = Spill()
    spill.append(b"x")
    assert list(tmp_path.iterdir()) == []
    assert list(spill) == [b"x"]


def test_a_full_disk_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    spill = Spill()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spill._file, "write", full)
    with pytest.raises(StorageError, match="cannot keep part files"):
        spill.append(b"x")


def test_no_folder_for_it_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StorageError, match="cannot keep part files in '/nowhere'"):
        Spill()
