"""The numbers of Thrift structs in C, against the same in Python."""

from __future__ import annotations

import io
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.readers.tables.parquet import pages
from provreg.readers.tables.parquet.pages import longest_text, numbers


def _footer() -> bytes:
    table = pa.table(
        {"a": ["x", None, "y"] * 9, "b": [[1, 2], None, []] * 9, "c": [{"d": 1.5}] * 27}
    )
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=9)
    data = file.getvalue()
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


def _found(data: bytes) -> tuple[list[list[int]], int] | None:
    try:
        found, end = numbers(data)
    except (ValueError, OverflowError):
        return None
    return found.tolist(), end


def test_footers_whole_and_broken_have_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages.integers is not None
    rng = random.Random(1)  # noqa: S311
    footers = [_footer()]
    for _ in range(300):
        broken = bytearray(footers[0])
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(len(broken))] ^= rng.randint(1, 255)
        footers.append(bytes(broken[: rng.choice([len(broken), rng.randrange(len(broken))])]))
    fast = [_found(footer) for footer in footers]
    monkeypatch.setattr(pages, "integers", None)
    slow = [_found(footer) for footer in footers]
    assert fast[0] == slow[0] is not None
    # One may refuse what the other does not (depth, integers of more than 64 bits); none differs.
    assert all(a == b for a, b in zip(fast, slow, strict=True) if a is not None and b is not None)
    assert sum(one is not None for one in fast) > 10


def test_longest_text_ends_before_what_leaves_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = b"".join(np.uint32(size).tobytes() + b"x" * size for size in (3, 0, 7, 5))
    cases = [(texts, 4), (texts, 2), (texts[:-1], 4), (texts[:16], 4), (b"\xff" * 9, 9), (b"", 1)]
    fast = [longest_text(data, most) for data, most in cases]
    monkeypatch.setattr(pages, "longest", None)
    assert fast == [longest_text(data, most) for data, most in cases] == [7, 3, 7, 3, 0, 0]
