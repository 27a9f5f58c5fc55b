"""Tables: what is in a narrow terminal is folded or listed, never cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provreg.cli.ui.table import cells, lay_out

WORDS = st.text("abcde -/", max_size=30).map(lambda text: " ".join(text.split()) or "-")
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(WORDS, min_size=width, max_size=width), max_size=6)
)


@given(rows=TABLES, width=st.integers(10, 100), data=st.data())
def test_no_word_is_ever_cut(rows: list[list[str]], width: int, data: st.DataObject) -> None:
    columns = [f"column{place}" for place in range(len(rows[0]) if rows else 2)]
    whole = data.draw(st.sets(st.sampled_from(columns)))
    _, lines = lay_out(columns, rows, width=width, whole=whole)
    words = " ".join(lines).split()
    for row in rows:
        for name, cell in zip(columns, row, strict=True):
            if cell == "-":
                continue
            assert set(cell.split()) <= set(words)
            if name in whole:
                assert any(cell in line for line in lines)


@given(rows=TABLES, width=st.integers(10, 100))
def test_a_table_with_a_heading_fits(rows: list[list[str]], width: int) -> None:
    columns = [f"c{place}" for place in range(len(rows[0]) if rows else 2)]
    heading, lines = lay_out(columns, rows, width=width)
    if heading:
        assert max(map(cells, [*heading, *lines])) <= width


def test_columns_without_values_are_left_out_only_where_it_is_narrow() -> None:
    rows = [["a" * 10, "-", "b" * 10]]
    assert lay_out(["x", "y", "z"], rows, width=None)[0] == ["x           y  z"]
    assert lay_out(["x", "y", "z"], rows, width=22)[0] == ["x           z"]


def test_what_fits_in_no_way_is_listed_a_value_a_line() -> None:
    heading, lines = lay_out(["id", "label"], [["a" * 40, "cat"], ["b", "-"]], width=20)
    assert heading == []
    assert lines == ["id     " + "a" * 40, "label  cat", "", "id  b"]


def test_wide_characters_take_two_cells() -> None:
    _, lines = lay_out(["id", "n"], [["猫", "1"], ["abcd", "2"]], width=None)
    assert lines == ["猫    1", "abcd  2"]


def test_numbers_stand_to_the_right() -> None:
    _, lines = lay_out(["samples"], [["1,000"], ["5"]], width=None)
    assert lines == ["  1,000", "      5"]
