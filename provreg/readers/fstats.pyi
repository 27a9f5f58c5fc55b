"""Compiled from fstats.c where there is a C compiler; absent where there was none."""

from collections.abc import Callable

fstats: Callable[[int, bytes], bytes] | None
"""A row of `readers.stats.STAT` for each name, which ends with a zero byte, in an open folder.

The row of what is gone, or no regular file, is zero. Other threads run meanwhile. Raises ValueError
where the last name does not end.
"""
