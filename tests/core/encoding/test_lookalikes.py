"""Names that look like others, for notices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.lookalikes import Spellings, skeleton


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("ann", "\u0430nn"),
        ("ann", "Ann"),
        ("cat", " Cat "),
        ("ice-cream", "ice_cream"),
        ("vendor", "vend\u03bfr"),
        ("caf\u00e9", "cafe\u0301"),
        ("cat", "\uff43\uff41\uff54"),
        ("solo", "s0l0"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(a: str, b: str) -> None:
    assert skeleton(a) == skeleton(b)
    assert Spellings([a, b]).alike(a) == [b]


@pytest.mark.parametrize(
    ("name", "other"),
    [("catt", "cat"), ("hosre", "horse"), ("horze", "horse"), ("aeroplane", "aeroplan")],
)
def test_typing_errors_are_found(name: str, other: str) -> None:
    assert Spellings(["truck", name, other]).misspelled(name) == [other]


@pytest.mark.parametrize(
    ("a", "b"),
    [("cam-1", "cam-2"), ("vendor-a", "vendor-b"), ("class10", "class11"), ("cat", "bat"),
     ("night-001", "night-0010"), ("truck", "horse")],
)  # fmt: skip
def test_counters_and_short_names_are_no_typing_errors(a: str, b: str) -> None:
    assert Spellings([a, b]).misspelled(a) == []
    assert Spellings([a, b]).alike(a) == []


@given(st.lists(st.text(max_size=70), unique=True, max_size=6))
def test_any_names_can_be_compared(names: list[str]) -> None:
    spellings = Spellings(names)
    for name in names:
        assert name not in spellings.alike(name)
        assert name not in spellings.misspelled(name)
