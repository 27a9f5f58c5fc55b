"""Optional kernels in C; each has a plain form in Python that is used without a compiler.

`checked` compares a kernel with its plain form before use: a kernel that was miscompiled, or built
for another machine, is not used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

Kernel = TypeVar("Kernel")

try:
    from provreg._native.lanes import hash_short
except ImportError:
    hash_short = None
try:
    from provreg._native.files import fstats, integers, longest, read_small
except ImportError:
    fstats = integers = longest = read_small = None

__all__ = ["checked", "fstats", "hash_short", "integers", "longest", "read_small"]


def checked(kernel: Kernel | None, name: str, agrees: Callable[[Kernel], bool]) -> Kernel | None:
    """`kernel` if `agrees` confirms that it has the results of its plain form, else None.

    Warns about a kernel that does not.
    """
    if kernel is None:
        return None
    try:
        sound = agrees(kernel)
    except Exception:
        sound = False
    if sound:
        return kernel
    warnings.warn(
        f"the kernel {name} gives wrong results, so its plain form is used: reinstall provreg",
        RuntimeWarning,
        stacklevel=2,
    )
    return None
