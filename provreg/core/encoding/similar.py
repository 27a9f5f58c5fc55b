"""Names that resemble one that does not exist, for the hints of messages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from provreg.core.encoding.text import quoted

# Comparing takes the product of two lengths: names of others must not make it long.
_MOST_NAMES, _MOST_CHARACTERS = 1000, 160
_SHOWN, _CUTOFF = 3, 0.75


def similar_names(name: str, names: Iterable[str]) -> list[str]:
    """At most three of `names` that are spelled much like `name`, the most similar first.

    Of very many names the first are compared, without those that are very long.
    """
    # Late: most commands miss no name, and it takes as long to load as all names to read.
    from difflib import get_close_matches

    if len(name) > _MOST_CHARACTERS:
        return []
    candidates: dict[str, str] = {}
    for candidate in islice(names, _MOST_NAMES):
        if len(candidate) <= _MOST_CHARACTERS:
            candidates.setdefault(candidate.casefold(), candidate)
    found = get_close_matches(name.casefold(), candidates, n=_SHOWN, cutoff=_CUTOFF)
    return [candidates[folded] for folded in found]


def did_you_mean(names: Iterable[str]) -> str:
    """The beginning of a hint that asks whether one of `names` was meant; empty without any."""
    alternatives = " or ".join(map(quoted, names))
    return f"did you mean {alternatives}? " if alternatives else ""
