"""Compiled from files.c; absent without a C compiler."""

from collections.abc import Callable
from mmap import mmap

fstats: Callable[[int, bytes], bytes] | None
"""A row of `files.stats.STAT` for each name in an open folder; names end with a zero byte.

Rows of missing or other than regular files are zero. Releases the GIL. Raises ValueError if the
last name does not end.
"""

read_small: Callable[[int, str, int, bytearray | mmap], tuple[int, bytes] | None] | None
"""Reads a whole small file into the buffer: its size and stat (`STAT`), or None.

`read_small(folder, name, flags, buffer)` opens `name` in an open folder with `flags`. None means
that the file fills the buffer, changed during reading, is not a regular file, or cannot be read.
Releases the GIL.
"""

integers: Callable[[bytes, int], tuple[bytes, int]] | None
"""The integers of the Thrift struct at an offset, and where it ends.

Pairs of int64: a path, a byte for the number of each field (255 for higher ones), and the value.
Raises ValueError unless it is a struct of ascending fields that is not nested too deep.
"""

longest: Callable[[bytes, int], int] | None
"""The length of the longest of the first texts in the data; each follows its length (u32).

A truncated text is ignored.
"""
