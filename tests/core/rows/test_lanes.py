"""Many short values hashed at once: as the official implementation hashes them one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from sanitized import COMPILER, ROOT, run_sanitized

from provreg.core.rows.row_hash import hash_short

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
compiled = pytest.mark.skipif(hash_short is None, reason="needs a C compiler: not compiled")


@needs_compiler
def test_lanes_are_compiled_where_there_is_a_compiler() -> None:
    assert hash_short is not None


def hashed(*pieces: Any, rows: int = 2, context: bytes = b"") -> list[bytes]:
    digests, _ = hash_short(pieces, rows, context)
    return [bytes(digests[start : start + 32]) for start in range(0, len(digests), 32)]


@compiled
def test_a_row_is_its_bytes_in_each_piece() -> None:
    ends = np.array([1, 3, 3], np.int64)
    found = hashed((b"-xyz", ends), (b"const", 5), (b"AABB", 2))
    assert found == [blake3(b"xyconstAA").digest(), blake3(b"constBB").digest()]


@compiled
@pytest.mark.parametrize(
    "ends", [[], [0], [0, 1], [-1, 2, 3], [0, 50, 101], [0, 50, 49], [0, 2**62, 2**63 - 1],
             [-(2**63), 0, 2**63 - 1], [5, 4, 5]]
)  # fmt: skip
def test_ends_that_leave_the_data_are_refused(ends: list[int]) -> None:
    with pytest.raises(ValueError, match="within its data"):
        hashed((bytes(100), np.array(ends, np.int64)))


@compiled
@pytest.mark.parametrize("width", [-1, -(2**63), 51, 99, 101, 2**62, 2**63 - 1])
def test_widths_that_leave_the_data_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match="within its data"):
        hashed((bytes(100), width))


@compiled
@pytest.mark.parametrize("ends", [b"1234567", memoryview(bytes(25))[1:]])
def test_ends_that_are_no_numbers_are_refused(ends: Any) -> None:
    with pytest.raises(ValueError, match="within its data"):
        hashed((bytes(100), ends))


@compiled
@pytest.mark.parametrize("piece", [(), (b"a",), (b"a", None), ("a", 1), (b"a", 2**64), None])
def test_what_is_no_piece_is_refused(piece: Any) -> None:
    with pytest.raises((TypeError, OverflowError, BufferError)):
        hashed((b"a", 1), piece)


@compiled
@pytest.mark.parametrize(("rows", "context"), [(-1, b""), (2**31, b""), (1, bytes(1025))])
def test_impossible_numbers_of_rows_and_long_contexts_are_refused(
    rows: int, context: bytes
) -> None:
    with pytest.raises(ValueError, match="too"):
        hashed((b"a", 1), rows=rows, context=context)


@compiled
def test_threads_hash_beside_each_other() -> None:
    data, rows = np.random.default_rng(1).bytes(300 * 2000), 2000
    expected = [blake3(data[at : at + 300]).digest() for at in range(0, len(data), 300)]
    with ThreadPoolExecutor(4) as threads:
        for digests in threads.map(lambda _: hashed((data, 300), rows=rows), range(40)):
            assert digests == expected


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize(
    "options",
    ["-O1 -g", "-O3", "-O3 -march=x86-64", "-O3 -march=x86-64-v3", "-O3 -march=native"],
)
def test_lanes_read_and_write_nothing_that_is_not_theirs(tmp_path: Path, options: str) -> None:
    """The tests of this file with a build that ends at the first wrong access."""
    text = (ROOT / "provreg" / "_native" / "lanes.c").read_text()
    if "march" in options:
        # Builds for one processor leave the choice between several out.
        text = text.replace("defined(__GLIBC__)", "0")
    tests = [Path(__file__).with_name(name) for name in ("test_lanes.py", "test_row_hash.py")]
    run_sanitized(tmp_path, "_native/lanes.c", tests, options, text)
