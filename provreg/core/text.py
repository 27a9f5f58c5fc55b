"""Showing text that came from outside without letting it act on the reader's terminal."""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, bidirectional controls, lone surrogates.
UNSAFE_CHARACTERS = (
    "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
)
_UNSAFE = re.compile(f"[{UNSAFE_CHARACTERS}\ud800-\udfff]")
_SHOWN = 200


def printable(text: str) -> str:
    """`text` with every control, bidirectional and surrogate character written as an escape."""
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], text)


def quoted(text: str) -> str:
    """`text` in quotes for a message: printable, and cut after 200 characters."""
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f"'{printable(shown)}'"
