"""Where quoted fields of CSV begin and end, and with them rows (docs/format/row.md, "CSV").

A quote opens a quoted field only where a field begins, and is a character like others elsewhere in
a field without quotes. Bytes are looked at by the million; only where quotes stand in fields
without quotes, or where they should not, are quotes followed one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

Places: TypeAlias = npt.NDArray[np.int64]

_QUOTE, _CR, _LF = b'"\r\n'
_NONE = np.zeros(0, np.int64)
_AT_A_TIME = 1 << 18  # bytes whose comparisons stay in the processor's cache
_PAIRS_AT_A_TIME = _AT_A_TIME // 4
_BLANK = "a line is blank, which some programs read as a row of nulls"
QUOTES_HINT = (
    "quotes around a field are doubled inside of it; where files have none: --quoting none"
)
_BLANK_HINT = "delete blank lines: those in front of this row, or behind the last one"


@dataclass(frozen=True, slots=True)
class Fault:
    """Where bytes first break the grammar, how, and what to do."""

    at: int
    complaint: str
    hint: str = QUOTES_HINT


@dataclass(frozen=True, slots=True)
class Quoted:
    """Where quoted stretches are opened and closed; a quote that is doubled closes one and opens
    the next. The last one may be open. Nothing is known from `fault` on, where text stands behind
    a closing quote."""

    opened: Places
    closed: Places
    fault: int | None = None

    def holds(self, places: Places) -> npt.NDArray[np.bool_]:
        """Which of `places` lie inside of quotes."""
        opened = np.searchsorted(self.opened, places)
        inside: npt.NDArray[np.bool_] = opened > np.searchsorted(self.closed, places, side="right")
        return inside

    def outside(self, character: int, data: bytes) -> Iterator[Places]:
        """Where `character` stands outside of quotes in `data`, a part of it at a time."""
        characters = np.frombuffer(data, np.uint8)
        for start in range(0, len(characters), _AT_A_TIME):
            places = np.flatnonzero(characters[start : start + _AT_A_TIME] == character) + start
            yield places[~self.holds(places)]

    def until(self, end: int) -> Quoted:
        """What is known of the bytes before `end`."""
        opened, closed = (
            int(np.searchsorted(places, end)) for places in (self.opened, self.closed)
        )
        fault = self.fault if self.fault is not None and self.fault < end else None
        return Quoted(self.opened[:opened], self.closed[:closed], fault)


def quoted_in(data: bytes, delimiter: bytes, *, quoting: bool) -> Quoted:
    """The quoted stretches of `data`, which begins with a row; its last row may be cut off."""
    if not quoting or b'"' not in data:
        return Quoted(_NONE, _NONE)
    characters = np.frombuffer(data, np.uint8)
    quotes = _places_of(_QUOTE, characters)
    opened, closed = quotes[::2], quotes[1::2]
    # Every other quote opens, and those between close, where they stand where only such can.
    before = characters[opened[np.searchsorted(opened, 1) :] - 1].tobytes()
    after = characters[closed[: np.searchsorted(closed, len(data) - 1)] + 1].tobytes()
    # What is not removed stands where it should not: in a sixth of the time that `strip` takes.
    if before.translate(None, b'"\n' + delimiter) or after.translate(None, b'"\r\n' + delimiter):
        return _one_by_one(data, quotes.tolist(), delimiter)
    return Quoted(opened, closed)


def _places_of(character: int, characters: npt.NDArray[np.uint8]) -> Places:
    parts = [
        np.flatnonzero(characters[start : start + _AT_A_TIME] == character) + start
        for start in range(0, len(characters), _AT_A_TIME)
    ]
    return np.concatenate(parts)


def _one_by_one(data: bytes, quotes: list[int], delimiter: bytes) -> Quoted:
    begins, ends = b"\n" + delimiter, b"\r\n" + delimiter
    opened: list[int] = []
    closed: list[int] = []
    fault = None
    count, k = len(quotes), 0
    while k < count:
        at = quotes[k]
        k += 1
        if at and data[at - 1] not in begins:
            continue
        opened.append(at)
        while k + 1 < count and quotes[k + 1] == quotes[k] + 1:
            k += 2
        if k == count:
            break
        closed.append(quotes[k])
        k += 1
        after = closed[-1] + 1
        if after < len(data) and data[after] not in ends:
            fault = after
            break
    return Quoted(np.array(opened, np.int64), np.array(closed, np.int64), fault)


def end_of_rows(data: bytes, quoted: Quoted) -> int:
    """Where the last row that ends in `data` does; 0 where there is none."""
    end = len(data) if quoted.fault is None else quoted.fault
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        before = int(np.searchsorted(quoted.opened, end))
        if before == 0 or (before <= len(quoted.closed) and quoted.closed[before - 1] < end):
            return end + 1
        end = int(quoted.opened[before - 1])
    return 0


def first_fault(data: bytes, quoted: Quoted) -> Fault | None:
    """Where `data`, whole rows, first breaks the grammar; None where it does not."""
    faults = []
    if (at := data.find(b"\0")) >= 0:
        faults.append(Fault(at, "a NUL character"))
    if quoted.fault is not None:
        faults.append(Fault(quoted.fault, "text stands behind a closing quote"))
    if len(quoted.opened) > len(quoted.closed):
        faults.append(Fault(int(quoted.opened[-1]), "a quote is never closed"))
    characters = np.frombuffer(data, np.uint8)
    blank = _feeds_behind_feeds(characters)
    if b"\r" in data:
        returns = _places_of(_CR, characters)
        # Behind one at the very end stands as little a line feed as in its own place.
        following = characters[np.minimum(returns + 1, len(data) - 1)]
        alone = returns[following != _LF]
        alone = alone[~quoted.holds(alone)]
        complaint = "a carriage return stands without a line feed"
        faults += [Fault(int(at), complaint) for at in alone[:1]]
        begins = (returns == 0) | (characters[returns - 1] == _LF)
        blank = np.union1d(blank, returns[begins & (following == _LF)])
    blank = blank[~quoted.holds(blank)]
    faults += [Fault(int(at), _BLANK, _BLANK_HINT) for at in blank[:1]]
    return min(faults, key=lambda fault: fault.at, default=None)


def _feeds_behind_feeds(characters: npt.NDArray[np.uint8]) -> Places:
    """Where a line feed stands directly behind another one, or first of all."""
    parts = [np.flatnonzero(characters[:1] == _LF)]
    for start in range(0, len(characters), _PAIRS_AT_A_TIME):
        feeds = characters[start : start + _PAIRS_AT_A_TIME + 1] == _LF
        both = feeds[1:] & feeds[:-1]
        if both.any():  # hardly ever, and seen faster than where
            parts.append(np.flatnonzero(both) + start + 1)
    return np.concatenate(parts)
