"""Patterns for identities: `*` and `?` match within one segment.

An identity is a URI or an e-mail address; `/` and `@` separate its segments. In
`…/release.yml@refs/heads/*` the star is one segment. So a branch named
`x/release.yml@refs/heads/y`, which anyone with push access can create, does not match the identity
of another workflow. Only `**` as the last segment matches all remaining segments.
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
    """Whether one of `patterns` matches the whole `name`: `*` is any run, `?` any one character.

    For names of datasets, sources and labelers, which have no segments.
    """
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` matches the whole `text`, segment by segment."""
    patterns, segments = _SEPARATORS.split(pattern), _SEPARATORS.split(text)
    if patterns[-1] == _REST:
        patterns.pop()
        rest = segments[len(patterns) :]
        segments = segments[: len(patterns)]
        if not any(rest):
            return False
    return len(patterns) == len(segments) and all(
        covers((segment_pattern,), segment)
        for segment_pattern, segment in zip(patterns, segments, strict=True)
    )


def overlap(left_pattern: str, right_pattern: str) -> bool:
    """Whether some text matches both patterns. A pattern without wildcards matches itself."""
    left, right = _SEPARATORS.split(left_pattern), _SEPARATORS.split(right_pattern)
    if left[-1] == _REST or right[-1] == _REST:
        if left[-1] != _REST or (right[-1] == _REST and len(right) < len(left)):
            left, right = right, left
        left.pop()
        # `**` matches at least one character, so the other pattern must continue there.
        if not any(right[len(left) :]):
            return False
        right = right[: len(left)]
    return len(left) == len(right) and all(
        _segments_overlap(a, b) for a, b in zip(left, right, strict=True)
    )


def _segments_overlap(left: str, right: str) -> bool:
    if not is_pattern(left) and not is_pattern(right):
        return left == right
    # From the ends: row[j] is whether left[i:] and right[j:] match a common text.
    below: list[bool] = []
    for i in range(len(left), -1, -1):
        row = [False] * (len(right) + 1)
        for j in range(len(right), -1, -1):
            row[j] = _shares(left[i : i + 1], right[j : j + 1], row, below, j)
        below = row
    return below[0]


def _shares(a: str, b: str, row: list[bool], below: list[bool], j: int) -> bool:
    """A cell of the table: `a` and `b` are the next characters, "" at the end."""
    if not a and not b:
        return True
    if a == "*" and (below[j] or (b and row[j + 1])):
        return True
    if b == "*" and (row[j + 1] or (a and below[j])):
        return True
    same = bool(a and b) and (a == b or "?" in (a, b)) and "*" not in (a, b)
    return same and below[j + 1]
