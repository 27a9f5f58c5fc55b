"""Names that look like others: in case, composition, blanks, letters of other alphabets, or by a
typing error. For notices only: nothing is refused or equated because of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from provreg.core.encoding.text import quoted, quoted_ascii

# Letters that look like a Latin letter in common fonts, from Unicode's confusables.txt (UTS #39),
# in lower case: Cyrillic, Greek, Armenian, and two digits.
_LATIN = str.maketrans(
    "\u0430\u0432\u0433\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u044c"
    "\u0455\u0456\u0458\u04bb\u04cf\u0501\u051b\u051d\u0475"
    "\u03b1\u03b3\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03c9"
    "\u0570\u0578\u057d\u0581\u0131\u0251\u026101",
    "abrekmhopctyxbsijhldqwvayeikvoptuxwhnugiagol",
)
# What joins words is left out, but between digits: version 1.1 is not version 11.
_JOINTS = re.compile(r"[\s_.\-]+")
_BETWEEN_DIGITS = re.compile(r"(?<=\d) (?=\d)")
# Shorter names often differ in one letter on purpose. Of longer ones every part would be compared.
_SHORTEST, _LONGEST = 4, 64
# A new name is taken for a misspelled one if it has at most this share of the other's samples.
_MISSPELLED = 0.2


def skeleton(name: str) -> str:
    """A text that is equal for names that look alike; for comparisons only."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    words = _BETWEEN_DIGITS.sub("_", _JOINTS.sub(" ", folded))
    return words.replace(" ", "").translate(_LATIN)


class Spellings:
    """Names among which others are looked up that look alike or differ by one typing error."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_skeleton: dict[str, list[str]] = {}
        self._by_variant: dict[str, list[str]] = {}
        for name in names:
            self._by_skeleton.setdefault(skeleton(name), []).append(name)
            for variant in _variants(name):
                self._by_variant.setdefault(variant, []).append(name)

    def alike(self, name: str) -> list[str]:
        """The other names with the same skeleton."""
        return [other for other in self._by_skeleton.get(skeleton(name), ()) if other != name]

    def misspelled(self, name: str) -> list[str]:
        """The other names from which one letter is missing, added, replaced, or swapped with the
        next; not those that differ in a digit or in a part of one letter, as counters do."""
        found = {
            other for variant in _variants(name) for other in self._by_variant.get(variant, ())
        }
        return sorted(other for other in found if other != name and _is_typing_error(name, other))


def _variants(name: str) -> Iterator[str]:
    """The name, and the name without each of its letters: names one letter apart share one."""
    folded = name.casefold()
    if _SHORTEST - 1 <= len(folded) <= _LONGEST:
        yield folded
        yield from {folded[:at] + folded[at + 1 :] for at in range(len(folded))}


def _is_typing_error(name: str, other: str) -> bool:
    a, b = name.casefold(), other.casefold()
    if max(len(a), len(b)) < _SHORTEST:
        return False
    shorter = min(len(a), len(b))
    start = next((at for at in range(shorter) if a[at] != b[at]), shorter)
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    parts = [text[start : len(text) - end] for text in (a, b)]
    if any(character.isdigit() for part in parts for character in part):
        return False
    if max(map(len, parts)) > 1:
        return len(parts[0]) == len(parts[1]) == 2 and parts[0] == parts[1][::-1]
    alone = [
        not (text[start - 1 : start].isalnum() or text[len(text) - end :][:1].isalnum())
        for text in (a, b)
    ]
    return not any(alone)


def lookalikes(
    now: Iterable[str], totals: Mapping[str, int], before: Iterable[str]
) -> list[tuple[str, str, bool]]:
    """(name, other, whether they look the same) for the names of `now` that are like another of
    `totals`, the rarer first.

    `totals` has the samples of each name. Those of a typing error alone are pairs of a name that is
    not in `before` and one that has far more samples.
    """
    spellings, known = Spellings(totals), set(before)
    pairs: dict[frozenset[str], tuple[str, str, bool]] = {}
    for name in now:
        others = [(other, True) for other in spellings.alike(name)]
        if name not in known:
            others += [
                (other, False)
                for other in spellings.misspelled(name)
                if totals[name] <= _MISSPELLED * totals[other]
            ]
        for other, same in others:
            rarer, frequent = sorted((name, other), key=lambda one: (totals[one], one))
            pairs.setdefault(frozenset((name, other)), (rarer, frequent, same))
    return list(pairs.values())


def pair_in_words(a: str, b: str, totals: Mapping[str, int]) -> str:
    """Two names and their numbers of samples, in ASCII where they could not be told apart."""
    plain = all(name.isascii() and name == name.strip() for name in (a, b))
    show = quoted if plain else quoted_ascii
    return f"{show(a)} ({totals[a]:,}) and {show(b)} ({totals[b]:,})"
