"""`provreg demo`."""

from __future__ import annotations


def demo() -> None:
    """Tell the whole story in a temporary folder."""
