"""Patterns for identities: `*` and `?` stay within a segment, so that no name reaches across.

An identity is a URI or an e-mail address; `/` and `@` cut it into segments. In
`…/release.yml@refs/heads/*` the star is one segment: a branch called `x/release.yml@refs/heads/y`,
which anybody who may push can make, does not become another workflow's. Only a last segment `**`
stands for all that is left.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

WILDCARDS = frozenset("*?")
_SEPARATORS = re.compile("([/@])")
_REST = "**"


def is_pattern(text: str) -> bool:
    """Whether `text` has a wildcard."""
    return not WILDCARDS.isdisjoint(text)


def covers(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of `patterns` is all of `name`: `*` is any run, `?` any one character.

    For plain names (of datasets, sources, labelers), which have no segments.
    """
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is all of `text`, segment by segment."""
    wanted, found = _SEPARATORS.split(pattern), _SEPARATORS.split(text)
    if wanted[-1] == _REST:
        wanted.pop()
        rest = found[len(wanted) :]
        found = found[: len(wanted)]
        if not any(rest):
            return False
    return len(wanted) == len(found) and all(
        covers((segment,), there) for segment, there in zip(wanted, found, strict=True)
    )


def overlap(one: str, other: str) -> bool:
    """Whether some text is matched by both patterns. Patterns without wildcards are texts."""
    left, right = _SEPARATORS.split(one), _SEPARATORS.split(other)
    if left[-1] == _REST or right[-1] == _REST:
        if left[-1] != _REST or (right[-1] == _REST and len(right) < len(left)):
            left, right = right, left
        left.pop()
        # What `**` stands for is not empty, so the other must go on behind it.
        if not any(right[len(left) :]):
            return False
        right = right[: len(left)]
    return len(left) == len(right) and all(
        _segments_overlap(a, b) for a, b in zip(left, right, strict=True)
    )


def _segments_overlap(one: str, other: str) -> bool:
    if not is_pattern(one) and not is_pattern(other):
        return one == other
    # From the ends: shared[j] is whether what is left of both, from i and j on, has a common text.
    below: list[bool] = []
    for i in range(len(one), -1, -1):
        row = [False] * (len(other) + 1)
        for j in range(len(other), -1, -1):
            row[j] = _shares(one[i : i + 1], other[j : j + 1], row, below, j)
        below = row
    return below[0]


def _shares(a: str, b: str, row: list[bool], below: list[bool], j: int) -> bool:
    """One cell of the table: `a` and `b` are the next characters, "" at an end."""
    if not a and not b:
        return True
    if a == "*" and (below[j] or (b and row[j + 1])):
        return True
    if b == "*" and (row[j + 1] or (a and below[j])):
        return True
    same = bool(a and b) and (a == b or "?" in (a, b)) and "*" not in (a, b)
    return same and below[j + 1]
