"""Large files mapped, so that nothing is copied, while a lease keeps them as they are.

A file that is cut short under a mapping kills the process that reads it. A read lease (fcntl(2),
"Leases") makes whoever opens the file for writing, or cuts it short, wait until it is given back
(or try again, if it asked not to wait); where anyone has the file open for writing there is none to
be had.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provreg.readers.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a writer waits for at most, 20 ms or so; the system itself would wait for 45 seconds.
_WINDOW = 64 * 1024 * 1024


def windows(file: int) -> Iterator[mmap.mmap]:
    """The content of `file`, mapped, a window after the other, each to be let go of before the
    next; ends wherever the rest must be read: without a lease, and at the last part.

    Only in worker processes: a disk that fails under a mapping kills them as well, which the
    process that started them survives.
    """
    if sys.platform != "linux" or not in_worker():
        return
    start = 0
    while _has_window(file, start):
        with _lease(file) as held:
            # Only now it stays so.
            if not held or not _has_window(file, start):
                return
            flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
            with mmap.mmap(file, _WINDOW, flags, mmap.PROT_READ, offset=start) as window:
                yield window
        start += _WINDOW


def _has_window(file: int, start: int) -> bool:
    return os.fstat(file).st_size - start >= _WINDOW


@contextmanager
def _lease(file: int) -> Iterator[bool]:
    """Whether there is a lease on `file`: for its owner, on file systems that have leases."""
    try:
        # Who waits is announced by a signal, by default one that ends the process.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
