"""Names that look like others: in case, composition, blanks, in letters that look alike, or by a
typing error. For notices only: nothing is refused or equated because of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from provreg.core.encoding.confusables import skeletons
from provreg.core.encoding.text import quoted, quoted_ascii

# Shorter names often differ in one letter on purpose. Of longer ones every part would be compared.
_SHORTEST, _LONGEST = 4, 64
# A new name is taken for a misspelled one if it has at most this share of the other's samples.
_MISSPELLED = 0.2


class Likeness(Enum):
    """How two names are alike, and in words."""

    SAME = "look alike"
    BOTH_MEANT = "look alike and may both be meant"
    TYPING_ERROR = "differ by a typing error"


class Spellings:
    """Names among which others are looked up that look alike or differ by one typing error."""

    def __init__(self, names: Iterable[str]) -> None:
        self._skeletons: dict[str, tuple[str, str]] = {}
        self._by_skeleton: dict[tuple[int, str], list[str]] = {}
        self._by_variant: dict[str, list[str]] = {}
        for name in names:
            self._skeletons[name] = skeletons(name)
            for key in enumerate(self._skeletons[name]):
                self._by_skeleton.setdefault(key, []).append(name)
            for variant in _variants(name):
                self._by_variant.setdefault(variant, []).append(name)

    def alike(self, name: str) -> list[str]:
        """The other names that have a skeleton in common with `name`."""
        own = self._skeletons.get(name) or skeletons(name)
        found = dict.fromkeys(
            other for key in enumerate(own) for other in self._by_skeleton.get(key, ())
        )
        return [other for other in found if other != name]

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


def _may_both_be_meant(name: str, other: str, totals: Mapping[str, int]) -> bool:
    """Whether both are what a person may write: `modern` and `modem`; two characters of one
    alphabet, such as `A` and `a`; or two cases of which neither is rare, such as `Cardigan` and
    `cardigan` in ImageNet."""
    if len(name) == len(other) == 1:
        return _alphabet(name) == _alphabet(other)
    a, b = name.casefold(), other.casefold()
    if a == b:
        few, many = sorted((totals[name], totals[other]))
        # Not the sign for kelvin, which is a k in lower case.
        usual = all(unicodedata.is_normalized("NFKC", text) for text in (name, other))
        return usual and few > _MISSPELLED * many
    return (a + b).isascii() and a.replace("rn", "m") == b.replace("rn", "m")


def _alphabet(character: str) -> str:
    """The first word of the character's name in Unicode, or ASCII."""
    return "ASCII" if character.isascii() else unicodedata.name(character, "").partition(" ")[0]


def lookalikes(
    now: Iterable[str], totals: Mapping[str, int], before: Iterable[str]
) -> list[tuple[str, str, Likeness]]:
    """(name, other, how they are alike) for the names of `now` that are like another of `totals`,
    the rarer first.

    `totals` has the samples of each name. Those of a typing error alone are pairs of a name that is
    not in `before` and one that has far more samples.
    """
    spellings, known = Spellings(totals), set(before)
    pairs: dict[frozenset[str], tuple[str, str, Likeness]] = {}
    for name in now:
        others = []
        for other in spellings.alike(name):
            honest = _may_both_be_meant(name, other, totals)
            others.append((other, Likeness.BOTH_MEANT if honest else Likeness.SAME))
        if name not in known:
            others += [
                (other, Likeness.TYPING_ERROR)
                for other in spellings.misspelled(name)
                if totals[name] <= _MISSPELLED * totals[other]
            ]
        for other, likeness in others:
            rarer, frequent = sorted((name, other), key=lambda one: (totals[one], one))
            pairs.setdefault(frozenset((name, other)), (rarer, frequent, likeness))
    return list(pairs.values())


def pair_in_words(a: str, b: str, totals: Mapping[str, int]) -> str:
    """Two names and their numbers of samples, in ASCII where they could not be told apart."""
    plain = all(name.isascii() and name == name.strip() for name in (a, b))
    show = quoted if plain else quoted_ascii
    return f"{show(a)} ({totals[a]:,}) and {show(b)} ({totals[b]:,})"
