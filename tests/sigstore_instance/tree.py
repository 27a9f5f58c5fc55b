"""A Merkle tree as RFC 6962 2.1 has it, and checkpoints of it (C2SP signed notes)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The tree head over leaf hashes, of which there is at least one."""
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return hashlib.sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The audit path of the leaf at `index`, from the bottom up."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion(index, leaves[:split]), root(leaves[split:])]
    return [*inclusion(index - split, leaves[split:]), root(leaves[:split])]


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def note(origin: str, size: int, tree_root: bytes) -> str:
    """A checkpoint's text, which is what is signed."""
    return f"{origin}\n{size}\n{base64.b64encode(tree_root).decode()}\n"


def signed_note(text: str, name: str, key_hint: bytes, signature: bytes) -> str:
    return f"{text}\n\u2014 {name} {base64.b64encode(key_hint + signature).decode()}\n"
