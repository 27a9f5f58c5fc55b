"""One clear error for a library that is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provreg.errors import UsageError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around the import of a library that comes with `provreg[extra]`; raises UsageError."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"this needs {error.name or extra}, which is not installed",
            hint=f"pip install 'provreg[{extra}]'",
        ) from error
