"""The hashes of rows put together from pieces: those of their bytes, compiled or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provreg.core.rows import row_hash
from provreg.core.rows.row_hash import constant, hash_pieces, join_pieces

CONTEXTS = st.sampled_from(["", "a context", "é" * 100])
# Where blocks and a chunk end, alone and with the pieces beside them.
SIZES = st.sampled_from([0, 1, 59, 63, 64, 65, 128, 1019, 1023, 1024, 1025, 3000]) | st.integers(
    0, 1100
)


@pytest.fixture(params=["compiled", "in Python"])
def _both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in Python":
        monkeypatch.setattr(row_hash, "hash_short", None)
    elif row_hash.hash_short is None:
        pytest.skip("needs a C compiler: not compiled")


@st.composite
def pieces(draw: st.DrawFn, rows: int) -> Any:
    """A piece of each kind: the same in every row, of one width, texts with nulls and without."""
    seed = np.random.default_rng(draw(st.integers(0, 1000)))
    match draw(st.sampled_from(["constant", "fixed", "texts", "slice"])):
        case "constant":
            return constant(seed.bytes(draw(st.integers(0, 70))), rows)
        case "fixed":
            width = draw(st.integers(0, 9))
            return np.frombuffer(seed.bytes(rows * width), np.uint8).reshape(rows, width)
        case "texts":
            each = draw(st.lists(st.none() | SIZES, min_size=rows, max_size=rows))
            values = [None if size is None else seed.bytes(size) for size in each]
            return pa.array(values, pa.large_binary())
        case _:
            each = draw(st.lists(SIZES, min_size=rows, max_size=rows))
            values = [b"before", *map(seed.bytes, each), b"after"]
            return pa.array(values, pa.large_binary()).slice(1, rows)


@pytest.mark.usefixtures("_both")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 25), CONTEXTS)
def test_rows_have_the_hashes_of_their_bytes(data: st.DataObject, rows: int, context: str) -> None:
    given_ = [constant(b"#", rows), *data.draw(st.lists(pieces(rows), max_size=4))]
    values = join_pieces(given_, rows).to_pylist()
    digests, sizes = hash_pieces(given_, rows, context)
    mode = {"derive_key_context": context} if context else {}
    assert digests == b"".join(blake3(value, **mode).digest() for value in values)
    assert sizes.tolist() == [len(value) for value in values]


@pytest.mark.usefixtures("_both")
@pytest.mark.parametrize("long", [1, 999, 1024, 1025, 100_000])
def test_long_rows_among_short_ones_have_their_own_hashes(long: int) -> None:
    values = [b"a", b"x" * long, b"", b"y" * long, b"b"]
    digests, _ = hash_pieces([pa.array(values, pa.large_binary())], len(values))
    assert digests == b"".join(blake3(value).digest() for value in values)


@pytest.mark.usefixtures("_both")
def test_what_stands_in_place_of_nulls_is_not_hashed() -> None:
    noise = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 3,
        [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([0, 1, 3, 4])), pa.py_buffer(b"a!!b")],
    )  # fmt: skip
    digests, sizes = hash_pieces([noise], 3)
    assert digests == b"".join(blake3(value).digest() for value in (b"a", b"", b"b"))
    assert sizes.tolist() == [1, 0, 1]


@pytest.mark.usefixtures("_both")
def test_no_rows_have_no_hashes() -> None:
    digests, sizes = hash_pieces([constant(b"a", 0), pa.array([], pa.large_binary())], 0)
    assert (digests, sizes.tolist()) == (b"", [])
