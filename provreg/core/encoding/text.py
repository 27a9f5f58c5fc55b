"""Showing text that came from outside without letting it act on the reader's terminal, or hide."""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, bidirectional controls.
UNSAFE_CHARACTERS = (
    "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
)
# These, and all that is not seen or has no agreed look (docs/format/manifest.md, "Names"): what
# Unicode calls default ignorable, characters that are blank, private use, and what is no character.
HIDDEN = (
    "\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe-\uffff\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    + "".join(
        f"{chr(plane + 0xFFFE)}-{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0xE0000, 0x10000)
    )
    + "\U000e0000-\U000e0fff\U000efffe-\U0010ffff"
)
_SURROGATES = "\ud800-\udfff"
UNSEEN = re.compile(f"[{HIDDEN}{_SURROGATES}]")
_SHOWN = 200


def printable(text: str) -> str:
    """`text` with every character that acts on a terminal or is not seen written as an escape."""
    if text.isprintable() and UNSEEN.search(text) is None:
        return text
    return "".join(
        one if one.isprintable() and UNSEEN.match(one) is None else ascii(one)[1:-1] for one in text
    )


def quoted_ascii(text: str) -> str:
    """As `quoted`, in ASCII: what looks the same is told apart."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def quoted(text: str) -> str:
    """`text` in quotes for a message: printable, and cut after 200 characters."""
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f"'{printable(shown)}'"
