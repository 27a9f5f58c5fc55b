"""The fast ways of reading text against plain ones: `tests/fuzz_text.py`, for some seconds."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import fuzz_text
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provreg.core.rows.column import FLOAT16, FLOAT32, FLOAT64, Scalar
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.text.typed_text import parsed

WIDTHS = {FLOAT16: np.float16, FLOAT32: np.float32, FLOAT64: np.float64}


@pytest.mark.parametrize("seed", [0, 1_000_000])
def test_files_of_text_are_read_as_the_plain_readers_do(tmp_path: Path, seed: int) -> None:
    assert fuzz_text.run(60, seed, tmp_path, most=400) is None


def test_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = fuzz_text.ours
    monkeypatch.setattr(fuzz_text, "ours", lambda *how: read(*how)[1:])
    assert fuzz_text.run(60, 0, tmp_path, most=100) is not None


def nearest(text: str, width: type[np.floating]) -> float | None:
    """The float nearest to a text, by looking at its neighbours; None beyond the range."""
    exact = Fraction(Decimal(text))
    with np.errstate(over="ignore"):
        guess = width(float(text))
    largest = np.finfo(width).max
    if np.isinf(guess):
        guess = np.copysign(largest, guess)
    with np.errstate(over="ignore"):
        around = [np.nextafter(guess, width(-np.inf)), guess, np.nextafter(guess, width(np.inf))]
    finite = [one for one in around if np.isfinite(one)]
    step = Fraction(float(largest)) - Fraction(float(np.nextafter(largest, width(0))))
    if abs(exact) >= Fraction(float(largest)) + step / 2:
        return None
    bits = {2: np.uint16, 4: np.uint32, 8: np.uint64}[width(0).itemsize]
    best = min(
        finite,
        key=lambda one: (abs(Fraction(float(one)) - exact), int(np.abs(one).view(bits)) % 2),
    )
    return float(best)


@st.composite
def hard_to_round(draw: st.DrawFn) -> str:
    """Decimal numbers at or beside the middle of two floats, or any."""
    if draw(st.booleans()):
        return draw(st.decimals(allow_nan=False, allow_infinity=False).map(str))
    digits, low, high = draw(st.sampled_from([(11, -26, 5), (24, -151, 103), (53, -1076, 970)]))
    middle = Fraction(2 * draw(st.integers(0, 2**digits)) + 1) * Fraction(2) ** draw(
        st.integers(low, high)
    )
    power = middle.denominator.bit_length() - 1
    written = middle.numerator * 5**power * 10**3 + draw(st.integers(-1, 1))
    return f"{draw(st.sampled_from(['', '-']))}{written}e-{power + 3}"


@settings(max_examples=120, deadline=None)
@given(st.lists(hard_to_round(), min_size=1, max_size=4), st.sampled_from([*WIDTHS]))
@example(["1.00048828125000000001", "65519.99999999999999999"], FLOAT16)
@example(["1.00048828125", "-65519.99999999999999999", "65504"], FLOAT16)
@example(["2.98023223876953125e-8", "2.98023223876953125000000001e-8"], FLOAT16)
@example(["1.00000005960464477539062500001", "3.4028235677973366e38"], FLOAT32)
def test_floats_from_text_are_rounded_once(texts: list[str], logical: Scalar) -> None:
    wanted = [nearest(text, WIDTHS[logical]) for text in texts]
    refused = [
        value is None or (re.fullmatch("-?[0-9]+", text) is not None and value != int(text))
        for text, value in zip(texts, wanted, strict=True)
    ]
    if any(refused):
        with pytest.raises(ValueMismatchError) as caught:
            parsed(pa.array(texts), logical)
        assert refused[caught.value.row]
    else:
        found = parsed(pa.array(texts), logical).to_pylist()
        assert repr([float(value) for value in found]) == repr(wanted)
