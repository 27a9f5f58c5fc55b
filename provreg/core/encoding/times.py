"""Times in documents (`2026-11-22T10:00:00Z`) and durations in options (`90d`, `12h`, `2w`)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from provreg.core.encoding.text import quoted
from provreg.errors import FormatError

DURATION = r"[1-9][0-9]{0,4}[mhdw]"
_UNITS = {"w": ("week", "weeks"), "d": ("day", "days"), "h": ("hour", "hours"),
          "m": ("minute", "minutes")}  # fmt: skip


def format_time(moment: datetime) -> str:
    """A time in UTC in whole seconds: `2026-11-22T10:00:00Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_duration(text: str) -> timedelta:
    """Raises FormatError unless `text` is a number without leading zeros and a unit."""
    if re.fullmatch(DURATION, text) is None:
        raise FormatError(
            f"not a duration: {quoted(text)}",
            hint="write a number and m, h, d or w: 30m, 12h, 90d, 2w",
        )
    return timedelta(**{_UNITS[text[-1]][1]: int(text[:-1])})


def format_duration(span: timedelta) -> str:
    """`span` in whole days, else in whole hours, else in minutes: "90 days"."""
    minutes = int(span.total_seconds()) // 60
    for unit, size in (("d", 24 * 60), ("h", 60)):
        if minutes and minutes % size == 0:
            return _with_unit(minutes // size, unit)
    return _with_unit(minutes, "m")


def _with_unit(count: int, unit: str) -> str:
    return f"{count} {_UNITS[unit][count != 1]}"
