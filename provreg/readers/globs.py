"""Patterns that choose samples by id: `--include` and `--exclude`.

A pattern is matched against a whole id, segment by segment: `*` is any run of characters but `/`,
`?` one of them, `[a-z]` and `[!a-z]` one of a set, and a segment that is `**` any number of
folders, none included. A pattern without `/` holds at any depth; a leading `/` ties it to the top.
A pattern that matches a folder takes in everything below it. Upper and lower case differ.

They are run by RE2 through Arrow: in linear time, whatever the pattern and the id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provreg.core.text import quoted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PATTERNS = 256
LONGEST_PATTERN = 1024

_TOKEN = re.compile(r"\*|\?|\[(!?)(\]?[^\]/]*)\]|[^*?]")


class Globs:
    """Several patterns, compiled; an id matches when one of them does.

    Raises UsageError for more than 256 patterns, and for one that is empty, longer than 1,024
    characters or not well formed.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > MOST_PATTERNS:
            raise UsageError(f"more than {MOST_PATTERNS} patterns")
        # Late: without patterns, files are listed and hashed before anything needs Arrow.
        import pyarrow as pa

        expressions = "|".join(_expression(pattern) for pattern in patterns)
        self._expression = f"^(?:{expressions})(?s:/.*)?$"
        try:
            self.matching([""])
        except pa.ArrowInvalid as error:
            raise UsageError(f"the patterns do not compile: {error}") from None

    def matching(self, ids: Sequence[str]) -> list[bool]:
        """Which of `ids` match, themselves or by a folder above them.

        Names of files that are not UTF-8 are matched as if they had a character in each such place.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        found: list[bool] = pc.match_substring_regex(
            pa.array(map(_as_text, ids), pa.string()), self._expression
        ).to_pylist()
        return found


def _as_text(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return name


def _expression(pattern: str) -> str:
    """The RE2 expression of one pattern."""
    if not pattern.strip("/") or len(pattern) > LONGEST_PATTERN or not pattern.isprintable():
        raise UsageError(f"{quoted(pattern)} is not a pattern")
    text = pattern.rstrip("/")
    if "/" not in text:
        text = "**/" + text
    segments = text.lstrip("/").split("/")
    written = ""
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if segment == "**":
            written += ".*" if last else "(?:[^/]+/)*"
        elif segment in {"", ".", ".."} or "**" in segment:
            raise UsageError(
                f"{quoted(pattern)} is not a pattern",
                hint="`**` stands alone between slashes; no segment is empty, `.` or `..`",
            )
        else:
            written += _segment(segment, pattern) + ("" if last else "/")
    return written


def _segment(segment: str, pattern: str) -> str:
    written = ""
    for token in _TOKEN.finditer(segment):
        text = token.group()
        if text == "*":
            written += "[^/]*"
        elif text == "?":
            written += "[^/]"
        elif text[0] == "[" and len(text) > 1:
            written += _set(token[1], token[2], pattern)
        else:
            written += re.escape(text)
    return written


def _set(negated: str, members: str, pattern: str) -> str:
    """`[a-z]` or `[!a-z]`, never matching a slash."""
    ranges = re.findall(r"(.)-(.)|(.)", members)
    if any(low and low <= "/" <= high for low, high, _ in ranges) or any(
        low > high for low, high, single in ranges if not single
    ):
        raise UsageError(f"{quoted(pattern)} has a range that is empty or spans the slash")
    written = "".join(
        re.escape(single) if single else f"{re.escape(low)}-{re.escape(high)}"
        for low, high, single in ranges
    )
    if not written:
        raise UsageError(f"{quoted(pattern)} has an empty set")
    return f"[^/{written}]" if negated else f"[{written}]"
