"""Laying out a table so that it fits the terminal and every word in it stays whole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

_GAP = "  "
# Words, and texts in backticks with all that touches them.
_WORDS = re.compile(r"(?:`[^`]*`|[^\s`]|`(?![^`]*`))+")
NOTHING = "-"


def lay_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    whole: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """(heading lines, the other lines) of a table at most `width` cells wide; None is no limit.

    In a narrow terminal, columns without values are left out and cells are folded between words,
    except in the columns `whole`. What fits in no way is written a row at a time, a line for each
    value: an id that is cut cannot be copied.
    """
    if width is not None and _total(_natural(columns, rows)) > width:
        places = [place for place in range(len(columns))
                if any(row[place] != NOTHING for row in rows)]  # fmt: skip
        columns = [columns[place] for place in places]
        rows = [[row[place] for place in places] for row in rows]
    widths = _natural(columns, rows)
    if width is not None and _total(widths) > width:
        least = [
            full if name in whole else max(map(_longest_word, [name, *cells]))
            for name, full, cells in zip(columns, widths, _transpose(columns, rows), strict=True)
        ]
        if _total(least) > width:
            return [], _records(columns, rows, width, whole)
        widths = _shrink(widths, least, width)
    right = [bool(rows) and all(map(_is_number, cells)) for cells in _transpose(columns, rows)]
    lines = [line for row in rows for line in _row_lines(row, widths, right)]
    return _row_lines(columns, widths, right), lines


def records(
    pairs: Sequence[tuple[str, str]], *, width: int | None = None, whole: Collection[str] = ()
) -> list[str]:
    """Names and values, a line each; None is no limit for `width`.

    Values that do not fit are folded between words, beside their name or, if a word only fits a
    line of its own, below it. The values `whole`, and those with a longer word, are not folded.
    """
    indent = max((cells(name) for name, _ in pairs), default=0) + len(_GAP)
    lines: list[str] = []
    for name, value in pairs:
        fits = width is None or indent + cells(value) <= width
        if width is None or fits or name in whole or len(_GAP) + _longest_word(value) > width:
            lines.append(_pad(name, indent) + value)
            continue
        if indent + _longest_word(value) <= width:
            folded = _fold(value, width - indent)
            lines += [
                _pad(name if at == 0 else "", indent) + part for at, part in enumerate(folded)
            ]
        else:
            lines += [name, *(_GAP + part for part in _fold(value, width - len(_GAP)))]
    return lines


def fold_text(text: str, width: int) -> list[str]:
    """A sentence in lines of at most `width`, broken between words; later lines are indented.

    A command in backticks is not broken if it fits a line, so that it can be copied.
    """
    if cells(text) <= width:
        return [text]
    start = text[: len(text) - len(text.lstrip())]
    words: list[str] = []
    for word in _WORDS.findall(text):
        words += [word] if len(start) + len(_GAP) + cells(word) <= width else word.split()
    lines: list[str] = []
    line = start + words[0]
    for word in words[1:]:
        if cells(line) + 1 + cells(word) <= width:
            line += f" {word}"
        else:
            lines.append(line)
            line = start + _GAP + word
    return [*lines, line]


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _records(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, whole: Collection[str]
) -> list[str]:
    lines: list[str] = []
    for row in rows:
        filled = [pair for pair in zip(columns, row, strict=True) if pair[1] != NOTHING]
        lines += [*([""] if lines else []), *records(filled, width=width, whole=whole)]
    return lines


def _transpose(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[row[place] for row in rows] for place in range(len(columns))]


def _natural(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    turned = _transpose(columns, rows)
    return [max(map(cells, [name, *column])) for name, column in zip(columns, turned, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * max(len(widths) - 1, 0)


def _longest_word(text: str) -> int:
    return max(map(cells, text.split()), default=0)


def _shrink(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """`widths` made to fit by taking from the widest column that can still give, no less."""
    shrunk = list(widths)
    while (excess := _total(shrunk) - width) > 0:
        place = max(
            (place for place in range(len(shrunk)) if shrunk[place] > least[place]),
            key=shrunk.__getitem__,
        )
        others = [other for at, other in enumerate(shrunk) if at != place]
        # Down to the next widest at once: cells can be very long.
        floor = max([least[place], *(other for other in others if other < shrunk[place])])
        shrunk[place] -= max(1, min(excess, shrunk[place] - floor))
    return shrunk


def _row_lines(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    folded = [_fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for line in range(max(map(len, folded), default=0)):
        parts = [cell[line] if line < len(cell) else "" for cell in folded]
        padded = [
            _pad(part, width, right=to_right)
            for part, width, to_right in zip(parts, widths, right, strict=True)
        ]
        lines.append(_GAP.join(padded).rstrip())
    return lines


def _fold(cell: str, width: int) -> list[str]:
    """`cell` in lines of at most `width`, broken between words."""
    if cells(cell) <= width:
        return [cell]
    lines: list[str] = []
    for word in cell.split():
        if lines and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - cells(text))
    return space + text if right else text + space


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-").replace(",", "").replace(".", "", 1).isdigit() or cell == NOTHING
