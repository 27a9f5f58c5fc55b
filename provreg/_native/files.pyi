"""Compiled from files.c where there is a C compiler; absent where there was none."""

from collections.abc import Callable

fstats: Callable[[int, bytes], bytes] | None
"""A row of `files.stats.STAT` for each name, which ends with a zero byte, in an open folder.

The row of what is gone, or no regular file, is zero. Other threads run meanwhile. Raises ValueError
where the last name does not end.
"""

read_small: Callable[[int, str, int, bytearray], tuple[int, bytes] | None] | None
"""The size and the stat (`STAT`) of a file of which all is in the buffer now; None for any other.

`read_small(folder, name, flags, buffer)` opens `name` in an open folder with `flags`. None is for
what fills the buffer, changed while it was read, is no regular file, or cannot be read. Other
threads run meanwhile.
"""

integers: Callable[[bytes, int], tuple[bytes, int]] | None
"""The integers of the Thrift struct at a place of some bytes, and where it ends.

Pairs of int64: a path, a byte for the number of each field (255 for higher ones), and the value.
Raises ValueError for what is no struct of ascending fields, or nested too deep.
"""

longest: Callable[[bytes, int], int] | None
"""The length of the longest of the first so many texts of some bytes, each behind its length (u32).

What ends within a text ends before it.
"""
