"""Which samples: one set, one encoding, and nothing else is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.bitmap import CHUNK, max_bytes, pack, unpack
from provreg.errors import FormatError, ProvregError


def members(samples: int, *inside: int) -> np.ndarray:
    found = np.zeros(samples, np.bool_)
    found[list(inside)] = True
    return found


def runs_of(draw: st.DrawFn, samples: int) -> np.ndarray:
    """Sets as selections make them: a few stretches, in or out."""
    cuts = sorted(draw(st.lists(st.integers(0, samples), max_size=6)))
    found = np.zeros(samples, np.bool_)
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        found[start:end] = True
    return found


sets = st.composite(runs_of)


def test_the_examples_of_the_documentation() -> None:
    assert pack(members(3, 0, 2)) == b"\x02" + b"\x05" + bytes(511)
    assert pack(np.ones(3, np.bool_)) == b"\x01"
    assert pack(np.zeros(2 * CHUNK + 1, np.bool_)) == b"\x00\x00\x00"
    # Sample 4,096 is the first of the second chunk, and all of it.
    assert pack(members(CHUNK + 1, CHUNK)) == b"\x00\x01"


@given(found=st.integers(0, 3 * CHUNK + 5).flatmap(sets))
def test_every_set_is_read_back_and_no_larger_than_promised(found: np.ndarray) -> None:
    data = pack(found)
    assert np.array_equal(unpack(data, len(found)), found)
    assert len(data) <= max_bytes(len(found))


def test_scattered_samples_are_read_back() -> None:
    found = np.random.default_rng(7).random(10 * CHUNK + 77) < 0.3
    assert np.array_equal(unpack(pack(found), len(found)), found)


@given(data=st.binary(max_size=600), samples=st.integers(0, 2 * CHUNK))
def test_no_bytes_break_the_reader_and_what_it_takes_it_writes(data: bytes, samples: int) -> None:
    try:
        found = unpack(data, samples)
    except ProvregError:
        return
    assert pack(found) == data


@pytest.mark.parametrize(
    ("data", "samples", "complaint"),
    [
        pytest.param(b"", 1, "of 1 samples does not have", id="of fewer samples"),
        pytest.param(b"\x01\x01", 1, "of 1 samples does not have", id="of more samples"),
        pytest.param(b"\x02" + b"\xff" * 511, 4097, "does not have", id="cut short"),
        pytest.param(b"\x01" + b"\0" * 512, 5, "of 5 samples does not have", id="trailing bytes"),
        pytest.param(b"\x03", 5, "unknown state", id="unknown state of a chunk"),
        pytest.param(b"\x02" + bytes(512), 4096, "canonical form", id="none spelled out"),
        pytest.param(b"\x02" + b"\xff" * 512, 4096, "canonical form", id="all spelled out"),
        pytest.param(
            b"\x02" + b"\x05\x08" + bytes(510), 10, "canonical form", id="beyond the last"
        ),
    ],
)
def test_bitmap_of_wrong_length_or_spelling_is_refused(
    data: bytes, samples: int, complaint: str
) -> None:
    with pytest.raises(FormatError, match=complaint):
        unpack(data, samples)
