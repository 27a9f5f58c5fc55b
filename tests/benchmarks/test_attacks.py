"""docs/attacks is what the attacks come to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="sklearn is not installed")

from benchmarks.attacks import __main__ as attacks
from benchmarks.attacks.others import TOOLFORMER
from benchmarks.attacks.pictures import CIFAR10, Pictures, cifar10, digits
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


def _in_page(section: str) -> list[str]:
    """The lines of a section of the page."""
    text = attacks.PAGE.read_text("utf-8")
    return text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0].splitlines()


def _rows(section: str) -> list[str]:
    return [line for line in _in_page(section) if line.startswith("| ")][1:]


def _honest(section: str) -> str:
    return next(line for line in _in_page(section) if line.startswith("Honest work"))


def test_the_page_has_what_stands_around_the_rows() -> None:
    tables = [(_rows(section), _honest(section)) for section in attacks.SECTIONS]
    rest = _rows("Models, views, texts")
    assert attacks.assembled(tables, rest) == attacks.PAGE.read_text("utf-8")
    assert [[row.split(" | ")[0][2:] for row in rows] for rows, _ in tables] == [
        list(attacks.ATTACKS)
    ] * len(attacks.SECTIONS)


def _pictures(section: str) -> Pictures:
    if section == "CIFAR-10" and not CIFAR10.exists():
        pytest.skip("needs ../shared/data/cifar10-jpeg.tar.xz")
    return attacks.SECTIONS[section]()


@pytest.mark.long
@pytest.mark.timeout(220)
@pytest.mark.parametrize("section", attacks.SECTIONS)
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_a_row_is_what_the_attack_comes_to(name: str, section: str) -> None:
    """Make the page anew with `python -m benchmarks.attacks`."""
    assert attacks.row(name, _pictures(section)) in _rows(section)


@pytest.mark.long
@pytest.mark.timeout(220)
@pytest.mark.parametrize("section", attacks.SECTIONS)
def test_honest_work_comes_to_what_the_page_says(section: str) -> None:
    assert attacks.honest_work(_pictures(section)) == _honest(section)


@pytest.mark.long
@pytest.mark.timeout(220)
def test_other_rows_are_what_the_attacks_come_to() -> None:
    if not TOOLFORMER.exists():
        pytest.skip("needs ../shared/data/toolformer")
    assert attacks.other_rows() == _rows("Models, views, texts")
