"""docs/attacks is what the attacks come to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="sklearn is not installed")

from benchmarks.attacks import __main__ as attacks
from benchmarks.attacks.others import TOOLFORMER
from benchmarks.attacks.pictures import CIFAR10, cifar10, digits
from benchmarks.attacks.world import by_insider


def test_the_digits_are_enough() -> None:
    assert digits().pixels.shape == (1797, 16, 16)
    assert len(digits().held_out[1]) == 500


def test_the_pictures_of_cifar10_are_enough() -> None:
    if not CIFAR10.exists():
        pytest.skip("needs ../shared/data/cifar10-jpeg.tar.xz")
    assert cifar10().pixels.shape == (4000, 32, 32, 3)
    assert len(cifar10().held_out[1]) == 1000
    assert set(cifar10().labels.tolist()) == set(range(10))


@pytest.mark.long
@pytest.mark.timeout(200)
def test_targeted_flips_are_found_and_nobody_else_is_blamed(tmp_path: Path) -> None:
    outcome = by_insider(
        tmp_path, digits(), attacks.ATTACKS["Label flipping, targeted"], attacks.SEED
    )
    assert "relabels" in outcome.checks
    assert outcome.found == outcome.poisoned
    assert outcome.flagged - outcome.found <= 10
    assert outcome.cleaned > outcome.attacked


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_page_is_what_the_attacks_come_to() -> None:
    """Make it anew with `python -m benchmarks.attacks`."""
    if not TOOLFORMER.exists() or not CIFAR10.exists():
        pytest.skip("needs ../shared/data")
    assert attacks.page() == attacks.PAGE.read_text("utf-8")
