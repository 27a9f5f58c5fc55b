"""The check `relabels`: who relabels more than the others, and whose labels are replaced."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from conftest import Bench
from tabular import Row, ingest_rows

from provreg.screening.api import Finding, Severity


def _rows(samples: int = 2000) -> list[Row]:
    return [
        {
            "id": f"s{number:05}",
            "text": f"text {number}",
            "label": f"class {number % 4}",
            "source": f"source {number % 3}",
            "labeler": f"ann{number // 7 % 8}",
        }
        for number in range(samples)
    ]


def _honest(rows: list[Row], chance: np.random.Generator) -> None:
    """Everybody corrects about one label of a hundred."""
    for row in rows:
        if chance.random() < 0.01 and row["labeler"] != "mallory":
            row["label"] = f"class {chance.integers(4)}"
            row["labeler"] = f"ann{chance.integers(8)}"


def _versions(bench: Bench, flips: int = 0, versions: int = 3) -> Iterator[list[Row]]:
    """Versions in which everybody relabels a little, and mallory `flips` dogs in all."""
    chance, rows = np.random.default_rng(5), _rows()
    ingest_rows(bench, rows)
    yield rows
    for number in range(versions):
        class_1 = [row for row in rows if row["label"] == "class 1"]
        for place in chance.choice(len(class_1), flips // versions, replace=False):
            class_1[place].update(label="class 2", labeler="mallory")
        _honest(rows, chance)
        ingest_rows(bench, rows, message=f"night {number}")
        yield rows


def _findings(bench: Bench, **options: object) -> tuple[Finding, ...]:
    return bench.open().screen("pets", checks=["relabels"], **options).findings  # type: ignore[arg-type]


def test_honest_relabeling_gives_notes_at_most(bench: Bench) -> None:
    list(_versions(bench))
    assert not [found for found in _findings(bench) if found.severity is not Severity.NOTE]


def test_a_labeler_who_flips_over_several_versions_is_named_with_the_samples(bench: Bench) -> None:
    *_, rows = _versions(bench, flips=60)
    worst, *_ = _findings(bench)
    assert worst.severity is not Severity.NOTE
    assert worst.group == {"labeler": "mallory"}
    assert {row["id"] for row in rows if row["labeler"] == "mallory"} == set(worst.ids)
    assert worst.effect is not None
    assert worst.effect.lower >= 2


@pytest.mark.parametrize("grouping", ["version", "signer", "source", "delivery"])
def test_every_grouping_answers(bench: Bench, grouping: str) -> None:
    list(_versions(bench, flips=30))
    findings = _findings(bench, by=[grouping])
    assert all(grouping in found.group for found in findings)


def test_a_version_that_relabels_a_class_is_named(bench: Bench) -> None:
    *_, rows = _versions(bench, versions=6)
    for row in rows[:400]:
        row["label"], row["labeler"] = "class 3", "ann1"
    ingest_rows(bench, rows)
    assert {"version": "8"} in [
        found.group
        for found in _findings(bench, by=["version"])
        if found.severity is not Severity.NOTE
    ]


def test_what_happened_before_against_is_not_counted(bench: Bench) -> None:
    *_, rows = _versions(bench, flips=60)
    rows[0]["label"] = "class 3"
    ingest_rows(bench, rows)
    assert not _findings(bench, against="pets@4")


def test_attack_relabels_hidden_by_a_mass_rename(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    for row in rows:
        row["id"] = f"renamed/{row['id']}"
    for row in rows[1:200:4]:
        row["label"], row["labeler"] = "class 2", "mallory"
    ingest_rows(bench, rows)
    worst, *_ = _findings(bench)
    assert worst.group == {"labeler": "mallory"}
    assert worst.count == 50


def test_attack_names_written_as_sql(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    for row in rows[1:200:4]:
        row["label"], row["labeler"] = "x' or 'a'='a", "mallory'; drop table line; --"
    ingest_rows(bench, rows)
    worst, *_ = _findings(bench)
    assert worst.group == {"labeler": "mallory'; drop table line; --"}
    assert len(worst.ids) == 50
