"""provreg.readers.files.names: the short cut for whole folders agrees with the rule."""

from __future__ import annotations

import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from provreg.core.manifest.limits import UNSAFE_IN_IDS
from provreg.readers.files.names import check_names, folded


def test_every_character_no_id_may_hold_is_found_in_a_name() -> None:
    unsafe = re.compile(UNSAFE_IN_IDS)
    for number in range(1, sys.maxunicode + 1):
        name = f"a{chr(number)}"
        if number == ord("/"):
            continue
        expected = 0xD800 <= number < 0xE000 or unsafe.search(name) is not None or name == "a\\"
        assert bool(check_names("x/", [name])) == expected, hex(number)


@given(st.lists(st.text(st.characters(exclude_characters="/"), min_size=1), max_size=5))
def test_names_together_have_the_problems_they_have_alone(names: list[str]) -> None:
    alone = [name for name in names if check_names("x/", [name])]
    assert list(check_names("x/", names)) == list(dict.fromkeys(alone))


@given(st.text(), st.text())
def test_folding_does_not_reach_across_a_slash(one: str, other: str) -> None:
    assert folded(f"{one}/{other}") == f"{folded(one)}/{folded(other)}"
