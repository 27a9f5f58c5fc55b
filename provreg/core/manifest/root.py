"""The root over a version's parts (docs/format/manifest.md, "Tree").

Apart from the rest of the tree, which needs Arrow: a head is read and its root recomputed by
commands that never look at an entry (ADR 0017).
"""

from __future__ import annotations

import struct

from blake3 import blake3

from provreg.core.encoding.digest import parse_digest

ROOT_CONTEXT = "provreg 2026-11-22 v1 root"
PART_MAX_ENTRIES = 1 << 18


def root(parts: list[tuple[int, str]]) -> str:
    """The written root over (entries, logical digest) of each part, in order."""
    hasher = blake3(derive_key_context=ROOT_CONTEXT)
    hasher.update(struct.pack("<QI", sum(entries for entries, _ in parts), len(parts)))
    for entries, logical in parts:
        hasher.update(struct.pack("<Q", entries) + parse_digest(logical)[1])
    return "blake3:" + hasher.hexdigest()
