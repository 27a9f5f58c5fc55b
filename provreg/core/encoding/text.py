"""Outside text made safe to show: it can neither control the terminal nor hide characters."""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, bidirectional controls.
UNSAFE_CHARACTERS = (
    "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
)
# These, and all characters without an agreed visible form (docs/format/manifest.md, "Names"):
# default ignorable ones, blank ones, private use, and noncharacters.
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
_MAX_SHOWN = 200


def printable(text: str) -> str:
    """`text` with control and hidden characters escaped."""
    if text.isprintable() and UNSEEN.search(text) is None:
        return text
    return "".join(
        character
        if character.isprintable() and UNSEEN.match(character) is None
        else ascii(character)[1:-1]
        for character in text
    )


def quoted_ascii(text: str) -> str:
    """As `quoted`, in ASCII: texts that look the same become distinguishable."""
    return ascii(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def counted(count: int, singular: str, plural: str = "") -> str:
    """`1 sample`, `10,000 samples`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def quoted(text: str) -> str:
    """`text` in quotes for a message: printable, truncated after 200 characters."""
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    return f"'{printable(shown)}'"
