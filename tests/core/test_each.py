"""Values one by one, and their hashes: the same for every kind of array, cut anywhere."""

from __future__ import annotations

import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.core import each
from provreg.core.each import each_value, hash_each

VALUES = [b"", b"a", b"bc", b"", b"def" * 50, b"\xc3\xa9"]
TYPES = [pa.binary(), pa.large_binary()]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("start", range(len(VALUES) + 1))
def test_each_value_is_the_value_wherever_the_array_begins(type_: pa.DataType, start: int) -> None:
    assert list(each_value(pa.array(VALUES, type_).slice(start))) == VALUES[start:]
    assert list(each_value(pa.array(VALUES, type_).slice(0, start))) == VALUES[:start]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_text_is_its_bytes(type_: pa.DataType) -> None:
    assert list(each_value(pa.array(["é", "", "x"], type_))) == ["é".encode(), b"", b"x"]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("long", [b"", b"x" * 100_000])
@pytest.mark.parametrize("start", [0, 1, 4])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("context", ["", "a context"])
def test_short_and_long_values_are_hashed_alike(
    monkeypatch: pytest.MonkeyPatch,
    type_: pa.DataType,
    long: bytes,
    start: int,
    compiled: bool,
    context: str,
) -> None:
    if not compiled:
        monkeypatch.setattr(each, "hash_short", None)
    values = [*VALUES, long, b"end"]
    hashed = hash_each(pa.array(values, type_).slice(start), context)
    mode = {"derive_key_context": context} if context else {}
    assert hashed == b"".join(blake3(value, **mode).digest() for value in values[start:])


@pytest.mark.parametrize("compiled", [True, False])
def test_nothing_has_no_hash(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    if not compiled:
        monkeypatch.setattr(each, "hash_short", None)
    assert hash_each(pa.array([], pa.binary())) == b""
