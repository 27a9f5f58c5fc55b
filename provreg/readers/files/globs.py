"""Patterns that choose samples by id: `--include` and `--exclude`.

A pattern is matched against a whole id, segment by segment: `*` is any run of characters but `/`,
`?` one of them, `[a-z]` and `[!a-z]` one of a set, and a segment that is `**` any number of
folders, none included. A pattern without `/` holds at any depth; a leading `/` ties it to the top.
Upper and lower case differ.

A pattern of `--include` that matches a folder takes in everything below it. One of `--exclude` does
so if it ends in `/` or `**`; any other stands for files alone: a folder in the place of a file that
was left out could hold anything.

They are run by RE2 through Arrow: in linear time, whatever the pattern and the id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PATTERNS = 256
LONGEST_PATTERN = 1024

_TOKEN = re.compile(r"\*|\?|\[(!?)(\]?[^\]/]*)\]|[^*?]")


class Globs:
    """Patterns of `--include`, compiled; an id matches when one of them does.

    Raises UsageError for more than 256 patterns, and for one that is empty, longer than 1,024
    characters or not well formed.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._match = _Matching([f"{_expression(pattern)}(?s:/.*)?" for pattern in _few(patterns)])

    def matching(self, ids: Sequence[str]) -> list[bool]:
        """Which of `ids` match, themselves or by a folder above them."""
        return self._match.all(ids)


class Excluded:
    """Patterns of `--exclude`, compiled. Raises as `Globs`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        files: list[str] = []
        folders: list[str] = []
        single: list[str] = []
        for pattern in _few(patterns):
            expression = _expression(pattern)
            if pattern.endswith("/"):
                files.append(f"{expression}/(?s:.+)")
                folders.append(f"{expression}(?s:/.*)?")
                continue
            files.append(expression)
            everything = pattern.rpartition("/")[2] == "**"
            (folders if everything else single).append(expression)
        self._files, self._folders = _Matching(files), _Matching(folders)
        self._single = _Matching(single)

    def files(self, ids: Sequence[str]) -> list[bool]:
        """Which of `ids`, all of files, are left out, themselves or with a folder above them."""
        return self._files.all(ids)

    def folders(self, ids: Sequence[str]) -> list[bool]:
        """Which of `ids`, all of folders, are left out with all that is in them."""
        return self._folders.all(ids)

    def mistaken(self, ids: Sequence[str]) -> list[bool]:
        """Which of `ids`, all of folders, are named by a pattern that stands for files alone."""
        both = zip(self._single.all(ids), self._folders.all(ids), strict=True)
        return [named and not left_out for named, left_out in both]


class _Matching:
    """Whether texts match one of some expressions as a whole."""

    def __init__(self, expressions: Sequence[str]) -> None:
        # Late: without patterns, files are listed and hashed before anything needs Arrow.
        import pyarrow as pa

        self._expression = f"^(?:{'|'.join(expressions)})$" if expressions else None
        try:
            self.all([""])
        except pa.ArrowInvalid as error:
            raise UsageError(f"the patterns do not compile: {error}") from None

    def all(self, texts: Sequence[str]) -> list[bool]:
        """Names of files that are not UTF-8 are matched as if they had a character in each such
        place."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._expression is None:
            return [False] * len(texts)
        found: list[bool] = pc.match_substring_regex(
            pa.array(map(_as_text, texts), pa.string()), self._expression
        ).to_pylist()
        return found


def _few(patterns: Sequence[str]) -> Sequence[str]:
    if len(patterns) > MOST_PATTERNS:
        raise UsageError(f"more than {MOST_PATTERNS} patterns")
    return patterns


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
