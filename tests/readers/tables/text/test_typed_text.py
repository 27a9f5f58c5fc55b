"""Numbers from text: the quick look at many texts takes in what a look at each does."""

from __future__ import annotations

import math
import re
from itertools import product

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.rows.column import FLOAT32, FLOAT64, INT, Scalar, with_form
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.text.typed_text import parsed

_WORDS = r"[+-]?(?i:nan|inf|infinity)"
FORMS = {
    INT: r"-?[0-9]+",
    FLOAT64: rf"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|{_WORDS}",
}


def accepted(texts: list[str | None], logical: Scalar) -> list[int | float | None] | int:
    """The values, or the row that is refused."""
    try:
        return parsed(pa.array(texts, pa.string()), logical).to_pylist()
    except ValueMismatchError as misfit:
        return misfit.row


@pytest.mark.parametrize("logical", [INT, FLOAT64])
def test_of_all_short_texts_those_are_numbers_that_have_the_form_of_one(logical: Scalar) -> None:
    for length in range(5):
        for characters in product("01-+.eExn", repeat=length):
            text = "".join(characters)
            fits = re.fullmatch(FORMS[logical], text) is not None
            assert (accepted([text], logical) != 0) == fits, text


numbers = st.integers(-(2**65), 2**65).map(str) | st.just("-00") | st.floats().map(str)
texts = numbers | st.text("019-+.eE_x ", max_size=6) | st.none()


@given(
    st.lists(texts, max_size=6), st.sampled_from([INT, with_form(INT, "uint64"), FLOAT32, FLOAT64])
)
def test_texts_together_are_what_each_is_alone(several: list[str | None], logical: Scalar) -> None:
    alone = [accepted([text], logical) for text in several]
    refused = {row for row, value in enumerate(alone) if value == 0}
    found = accepted(several, logical)
    if isinstance(found, int):
        assert found in refused
    else:
        assert not refused
        assert repr(found) == repr([value[0] for value in alone if isinstance(value, list)])


def test_a_slice_is_judged_by_its_own_texts() -> None:
    texts = pa.array(["x", "1", "-2.5e1", None, "z"])
    assert parsed(texts.slice(1, 3), FLOAT64).to_pylist() == [1.0, -25.0, None]
    assert parsed(texts.slice(1, 0), INT).to_pylist() == []


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" * 400])
def test_what_is_beyond_the_range_of_floats_is_refused(text: str) -> None:
    assert accepted(["1", text], FLOAT64) == 1
    assert accepted(["inf", "-nan"], FLOAT64) == pytest.approx([math.inf, math.nan], nan_ok=True)
