"""What names look like, after UTS 39."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.confusables import confusables, skeletons
from provreg.core.encoding.text import UNSEEN

# Anything, and more often what the table has.
NAMES = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from([chr(number) for number in confusables()]),
        st.sampled_from("aAbBmM01 -._lI,|"),
    ),
    max_size=20,
)


@pytest.mark.parametrize(
    ("character", "look"),
    [
        ("m", "rn"),
        ("1", "l"),
        ("I", "l"),
        ("|", "l"),
        ("0", "O"),
        ("\u0430", "a"),  # Cyrillic
        ("\u0455", "s"),
        ("\u03bf", "o"),  # Greek
        ("\u0578", "n"),  # Armenian
        ("\u13a0", "D"),  # Cherokee
        ("\u0666", "\u0666"),  # an Arabic six, like nothing else
        ("\u2126", "\u03a9"),  # the sign for ohm, by decomposition
        ("\U0001d41a", "a"),  # mathematical
        ("\U0001d426", "rn"),
        ("\u00e6", "ae"),
        ("\u2010", "-"),
        ("\u05d5", "l"),  # Hebrew
        ("\u4e00", "\u30fc"),  # the Chinese one, and the Japanese sign for a long vowel
        ("w", "w"),
    ],
)
def test_the_table_has_what_unicode_publishes(character: str, look: str) -> None:
    seen = unicodedata.normalize("NFD", character).translate(confusables())
    assert seen == look


def test_the_table_is_whole() -> None:
    """Unicode 17 has so many; make the table anew with `.ci/confusables.py`."""
    table = confusables()
    assert len(table) == 5_499
    assert all(table.values())
    # What is not seen is left out before; that two separators of lines look like blanks is moot.
    assert {number for number in table if UNSEEN.match(chr(number))} == {0x2028, 0x2029}
    ascii_only = {chr(number): look for number, look in table.items() if number < 128}
    assert ascii_only == {
        '"': "''", "%": "\u00ba/\u2080", "0": "O", "1": "l", "I": "l", "`": "'", "m": "rn", "|": "l"
    }  # fmt: skip


@given(NAMES)
def test_a_skeleton_is_its_own_skeleton(name: str) -> None:
    in_any_case, as_written = skeletons(name)
    assert skeletons(in_any_case)[0] == in_any_case
    assert skeletons(as_written)[1] == as_written


def test_the_skeleton_of_each_character_is_its_own() -> None:
    for number in confusables():
        name = f"a{chr(number)}1{chr(number)}1"
        in_any_case, as_written = skeletons(name)
        assert (skeletons(in_any_case)[0], skeletons(as_written)[1]) == (in_any_case, as_written)


@given(NAMES)
def test_composition_does_not_tell_names_apart(name: str) -> None:
    composed = unicodedata.normalize("NFC", name)
    assert skeletons(composed) == skeletons(unicodedata.normalize("NFD", name))


@given(st.text(st.characters(max_codepoint=127), max_size=20))
def test_case_does_not_tell_ascii_names_apart(name: str) -> None:
    assert skeletons(name.upper())[0] == skeletons(name.lower())[0] == skeletons(name)[0]
