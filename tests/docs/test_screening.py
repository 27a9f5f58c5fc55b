"""The page of the checks is made from the checks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_checks_say() -> None:
    """Make it anew with `python docs/generate_screening.py`."""
    spec = importlib.util.spec_from_file_location(
        "generate_screening", DOCS / "generate_screening.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "reference/screening.md").read_text("utf-8") == module.page()
