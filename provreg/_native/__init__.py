"""Kernels in C. A machine without a compiler does without them: each has a plain form in Python.

Whoever uses a kernel takes it from `checked`, with an example: one that was built wrong, or for
another machine, is left alone.
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
    """`kernel`, if `agrees` says that it does what its plain form does; None for any other.

    Warns of one that does not agree.
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
        f"the kernel {name} does not do what its plain form does, which is used instead:"
        " install provreg again",
        RuntimeWarning,
        stacklevel=2,
    )
    return None
