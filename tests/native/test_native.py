"""provreg._native: kernels are used only where they do what their plain forms do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provreg import _native
from provreg._native import checked
from provreg.core.rows import row_hash
from provreg.readers.files import hashing, stats
from provreg.readers.tables.parquet import pages


def wrong(*_: Any) -> Any:
    return b"", b""


def broken(*_: Any) -> Any:
    raise ValueError


def test_kernel_that_is_absent_is_none() -> None:
    assert checked(None, "x", lambda _: True) is None


@pytest.mark.parametrize("kernel", [wrong, broken])
@pytest.mark.parametrize(
    "agrees",
    [row_hash._agrees, stats._agrees, hashing._agrees, pages._same_integers],
    ids=["hash_short", "fstats", "read_small", "integers"],
)
def test_kernel_that_does_something_else_is_not_used(
    kernel: Callable[..., Any], agrees: Callable[[Any], bool]
) -> None:
    with pytest.warns(RuntimeWarning, match="gives wrong results, so its plain form is used"):
        assert checked(kernel, "it", agrees) is None


def test_kernels_that_were_compiled_are_used() -> None:
    used = {
        "hash_short": row_hash.hash_short,
        "fstats": stats.fstats,
        "read_small": hashing.read_small,
        "integers": pages.integers,
        "longest": pages.longest,
    }
    assert used == {name: getattr(_native, name) for name in used}
