"""Writes provreg/core/encoding/confusables.zlib: which characters look like which.

The table is the one of Unicode's UTS 39 ("skeleton"), as the library ICU has it. Run this after a
new Unicode version, with PyICU installed (`pip install icukit-pyicu` brings ICU with it):

    python .ci/confusables.py            # writes the table
    python .ci/confusables.py --check    # exits with 1 if the table is another one

Names are compared without ICU, which is larger than provreg. The first line of the unpacked table
tells the Unicode version. Each other line is a character and the text that it looks like.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from pathlib import Path

import icu

TABLE = Path(__file__).parents[1] / "provreg" / "core" / "encoding" / "confusables.zlib"


def table() -> bytes:
    """Lines for the characters that are not their own skeleton.

    Left out are characters that canonical decomposition replaces before the table is used, and
    those without a skeleton: they are not seen, and `core.encoding.text` lists these.
    """
    checker, composition = icu.SpoofChecker(), icu.Normalizer2.getNFDInstance()
    lines = [f"UTS 39, Unicode {icu.UNICODE_VERSION}"]
    for number in (*range(0xD800), *range(0xE000, 0x110000)):
        character = chr(number)
        if composition.normalize(character) == character:
            skeleton = checker.getSkeleton(0, character)
            if skeleton not in {"", character}:
                lines.append(character + skeleton)
    return "\n".join(lines).encode()


def main() -> int:
    made = table()
    if "--check" in sys.argv[1:]:
        return int(zlib.decompress(TABLE.read_bytes()) != made)
    TABLE.write_bytes(zlib.compress(made, 9))
    entries, size = made.count(b"\n"), TABLE.stat().st_size
    print(f"{entries:,} entries, {size:,} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
