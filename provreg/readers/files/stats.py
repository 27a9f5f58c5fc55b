"""The stats of files, as the stat cache keeps them.

Python makes an object of twenty numbers for each file, which takes as long as to ask the system:
`files.c` does without, where it could be compiled (ADR 22).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from provreg import _native
from provreg._native import checked

if TYPE_CHECKING:
    from collections.abc import Sequence

# Device, inode, size, mtime_ns, ctime_ns.
STAT = struct.Struct("=QQQqq")
STAT_FIELDS = 5
# That of what is gone, or no regular file.
NO_STAT = bytes(STAT.size)


def packed(found: os.stat_result) -> bytes:
    return STAT.pack(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def nul_terminated(names: Sequence[str]) -> bytes:
    """`names`, each with a zero byte at its end. Raises ValueError for one within a name."""
    written = os.fsencode("\0".join([*names, ""]))
    if written.count(b"\0") != len(names):
        raise ValueError("embedded null byte")
    return written


def _stat(folder: int, name: bytes) -> bytes:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return NO_STAT
    return packed(found) if S_ISREG(found.st_mode) else NO_STAT


def _agrees(kernel: Any) -> bool:
    """Whether `kernel` tells the stats of this file, of a folder, and of nothing as Python does."""
    here = Path(__file__)
    names = [os.fsencode(here.name), b"..", b"no such name"]
    folder = os.open(here.parent, os.O_RDONLY)
    try:
        expected = b"".join(_stat(folder, name) for name in names)
        return bool(kernel(folder, b"".join(name + b"\0" for name in names)) == expected)
    finally:
        os.close(folder)


fstats = checked(_native.fstats, "fstats", _agrees)


def stats_in(folder: int, names: bytes) -> bytes:
    """The stats of files in an open folder, one after another; `names` are `nul_terminated`.

    No link is followed.
    """
    if fstats is None:
        return b"".join([_stat(folder, name) for name in names.split(b"\0")[:-1]])
    return fstats(folder, names)
