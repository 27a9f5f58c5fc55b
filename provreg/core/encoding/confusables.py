"""What names look like: their skeletons after UTS 39, Unicode's Security Mechanisms.

Two names that look alike have the same skeleton. Skeletons are for comparisons only: they are
neither shown nor signed, and another Unicode version may make others of the same names.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Mapping
from functools import cache
from pkgutil import get_data

from provreg.core.encoding.text import UNSEEN

# What joins words is left out, but between digits: version 1.1 is not version 11.
_JOINTS = re.compile(r"[\s_.\-]+")
_BETWEEN_DIGITS = re.compile(r"(?<=\d) (?=\d)")
# Small letters of the shape of a Latin capital, Cyrillic and Greek. UTS 39 has the capitals only.
_SMALL_CAPITALS = str.maketrans(
    "\u0432\u043a\u043c\u043d\u0442\u044c\u03b5\u03ba\u03c4\u03c7\u03c9", "bkmhtbektxw"
)
_MOST_ROUNDS = 8


def skeletons(name: str) -> tuple[str, str]:
    """Two texts for comparisons. Names look alike if they have the first in common, or the second.

    The first is without regard to case and width: `Ann`, `ann`. The second is as UTS 39 has it: a
    capital I looks like an l, which the small i of the first does not.
    """
    return _skeleton(_folded(name), _in_any_case()), _skeleton(name, _as_written())


def _skeleton(name: str, looks: Mapping[int, str]) -> str:
    seen = unicodedata.normalize("NFD", UNSEEN.sub("", name)).translate(_joints())
    # The comma looks like nothing that joins words, so it stays in a second round.
    words = _BETWEEN_DIGITS.sub(",", _JOINTS.sub(" ", seen)).replace(" ", "")
    return unicodedata.normalize("NFD", words.translate(looks))


def _folded(name: str) -> str:
    """`name` in small letters of ordinary width, with decimal digits of any script by value."""
    if name.isascii():
        return name.casefold()
    small = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(
        str(unicodedata.decimal(character)) if character.isdecimal() else character
        for character in small
    )


@cache
def confusables() -> Mapping[int, str]:
    """UTS 39: what each character looks like, by its number. Those that are not seen are not in it;
    see `.ci/confusables.py`."""
    packed = get_data("provreg.core.encoding", "confusables.zlib")
    if packed is None:
        raise RuntimeError("the package has no data files")
    lines = zlib.decompress(packed).decode().split("\n")[1:]
    return {ord(line[0]): line[1:] for line in lines}


@cache
def _joints() -> Mapping[int, str]:
    """Dashes, dots and blanks of other scripts. Not letters and digits: a zero that looks like a
    dot does not join words."""
    return {
        number: " "
        for number, look in confusables().items()
        if not chr(number).isalnum() and not _JOINTS.sub("", look)
    }


@cache
def _as_written() -> Mapping[int, str]:
    return {number: _last_look(chr(number), in_any_case=False) for number in confusables()}


@cache
def _in_any_case() -> Mapping[int, str]:
    numbers = {*confusables(), *_SMALL_CAPITALS}
    return {number: _last_look(chr(number), in_any_case=True) for number in numbers}


def _last_look(character: str, *, in_any_case: bool) -> str:
    """What `character` looks like, and that again, until nothing changes: a skeleton is its own."""
    look = character
    for _ in range(_MOST_ROUNDS):
        before = look
        if in_any_case:
            look = _folded(look).translate(_SMALL_CAPITALS)
        look = unicodedata.normalize("NFD", look).translate(confusables())
        look = unicodedata.normalize("NFD", look)
        if look == before:
            break
    # The dots of letters and digits that are nothing else stay, or numbers would lose their zeros.
    return _JOINTS.sub("", look) or character
