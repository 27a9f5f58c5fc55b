"""The plots of the checks' power are those that the simulations give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def power() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_power", DOCS / "generate_power.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", ["relabels", "floods", "sizes", "mixes", "nights"])
def test_plots_are_as_generated(power: ModuleType, check: str) -> None:
    """Make them anew with `python docs/generate_power.py`."""
    shares = power.power(check)
    written = (DOCS / "reference/screening" / f"{check}.svg").read_text("utf-8")
    assert written == power.plot(check, shares)
    assert shares[0] <= 0.08  # nobody does more than the others
    assert shares[-1] >= 0.65


def test_the_page_has_the_power_of_relabels(power: ModuleType) -> None:
    page = " ".join((DOCS / "reference/screening.md").read_text("utf-8").split())
    _, two, three, five, _, ten = (
        f"{share:.0%}".replace("%", " %") for share in power.power("relabels")
    )
    assert f"{two} of simulations at 2 times, {three} at 3, {five} at 5 and {ten} at 10" in page
