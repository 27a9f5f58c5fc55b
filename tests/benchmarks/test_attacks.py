"""docs/attacks is what the attacks come to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="sklearn is not installed")

from benchmarks.attacks import __main__ as attacks
from benchmarks.attacks.digits import TRAINED, by_insider, pictures
from benchmarks.attacks.others import TOOLFORMER


def test_the_digits_are_enough() -> None:
    pixels, labels = pictures()
    assert pixels.shape == (1797, 16, 16)
    assert len(labels) - TRAINED == 500


@pytest.mark.long
@pytest.mark.timeout(200)
def test_targeted_flips_are_found_and_nobody_else_is_blamed(tmp_path: Path) -> None:
    outcome = by_insider(tmp_path, attacks.ATTACKS["Label flipping, targeted"], attacks.SEED)
    assert "relabels" in outcome.checks
    assert outcome.found == outcome.poisoned
    assert outcome.flagged - outcome.found <= 10
    assert outcome.cleaned > outcome.attacked


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_page_is_what_the_attacks_come_to() -> None:
    """Make it anew with `python -m benchmarks.attacks`."""
    if not TOOLFORMER.exists():
        pytest.skip("needs ../shared/data/toolformer")
    assert attacks.page() == attacks.PAGE.read_text("utf-8")
