"""What was downloaded into a folder, remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provreg.errors import StorageError, UsageError
from provreg.store.private.fetched import Fetched, fetch_record

ONE = Fetched("http://a.example/", b"c" * 32, b"s" * 32, 7, "0" * 16)


def test_what_was_put_is_there_the_next_time_and_for_its_folder_only(home: Path) -> None:
    with fetch_record(home / "a") as record:
        record.put("x", ONE)
        record.put("y", Fetched("http://b.example/", b"d" * 32, b"t" * 32, 2**40, None))
        record.put("y", ONE)
    with fetch_record(home / "other/../a") as record:
        assert record.get("x") == record.get("y") == ONE
        assert record.get("z") is None
    with fetch_record(home / "b") as record:
        assert record.get("x") is None


def test_the_record_is_private_and_not_in_the_folder(home: Path) -> None:
    (home / "a").mkdir()
    with fetch_record(home / "a") as record:
        record.put("x", ONE)
    assert list((home / "a").iterdir()) == []
    folder = Path(os.environ["PROVREG_CACHE"]) / "fetched"
    assert folder.stat().st_mode & 0o077 == 0


SECOND = """
import sys
from pathlib import Path
from provreg.store.private.fetched import fetch_record
try:
    with fetch_record(Path(sys.argv[1])):
        print("taken")
except Exception as error:
    print(type(error).__name__)
"""


def test_a_second_process_into_the_same_folder_is_refused(home: Path) -> None:
    with fetch_record(home / "a"):
        pass
    with fetch_record(home / "a"):
        with pytest.raises(UsageError, match="another process"), fetch_record(home / "a"):
            pass
        command = [sys.executable, "-c", SECOND, str(home / "a")]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "UsageError\n"


def test_a_damaged_record_says_what_to_do(home: Path) -> None:
    with fetch_record(home / "a") as record:
        record.put("x", ONE)
    (path,) = (Path(os.environ["PROVREG_CACHE"]) / "fetched").iterdir()
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StorageError) as caught, fetch_record(home / "a"):
        pass
    assert "delete it" in caught.value.hint
