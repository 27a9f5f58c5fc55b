"""The counted checks on versions that were ingested: what is found, and what is left in peace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from conftest import Bench
from tabular import Row, ingest_rows

from provreg.screening.api import Finding, Severity

COUNTED = ("flips", "nights", "mixes", "floods", "sizes", "bursts")


def _rows(samples: int = 2400, start: int = 0) -> list[Row]:
    chance = np.random.default_rng(start)
    begin = datetime(2026, 3, 2, 8, tzinfo=UTC)
    return [
        {
            "id": f"s{number:05}",
            "text": f"text {number} " + "x" * int(chance.integers(20, 60)),
            "label": f"class {chance.integers(4)}",
            "source": f"source {number % 6}",
            "labeler": f"ann{number // 7 % 8}",
            "labeled_at": (begin + timedelta(minutes=7 * number)).isoformat(),
        }
        for number in range(start, start + samples)
    ]


def _honest(rows: list[Row], chance: np.random.Generator) -> None:
    for row in rows:
        if chance.random() < 0.01 and row["labeler"] != "mallory":
            row["label"] = f"class {chance.integers(4)}"
            row["labeler"] = f"ann{chance.integers(8)}"


def _found(bench: Bench, check: str, **options: object) -> tuple[Finding, ...]:
    return bench.open().screen("pets", checks=[check], **options).findings  # type: ignore[arg-type]


def test_clean_versions_give_notes_at_most(bench: Bench) -> None:
    chance, rows = np.random.default_rng(1), _rows()
    ingest_rows(bench, rows)
    for night in range(3):
        _honest(rows, chance)
        rows += _rows(120, start=10_000 * (night + 1))
        ingest_rows(bench, rows)
    for check in COUNTED:
        found = [one for one in _found(bench, check) if one.severity is not Severity.NOTE]
        assert not found, check


def test_a_directed_flip_is_named_with_its_samples(bench: Bench) -> None:
    chance, rows = np.random.default_rng(2), _rows()
    ingest_rows(bench, rows)
    _honest(rows, chance)
    of_class = [row for row in rows if row["label"] == "class 1" and row["labeler"] == "ann3"]
    for row in of_class[:30]:
        row["label"] = "class 2"
    ingest_rows(bench, rows)
    worst, *_ = _found(bench, "flips", by=["labeler"])
    assert worst.severity is not Severity.NOTE
    assert worst.group == {"labeler": "ann3", "from": "class 1", "to": "class 2"}
    assert {row["id"] for row in of_class[:30]} <= set(worst.ids)
    assert "stands out" in worst.seen


def test_a_labeler_who_begins_to_relabel_sets_off_the_alarm(bench: Bench) -> None:
    chance, rows = np.random.default_rng(3), _rows()
    ingest_rows(bench, rows)
    for night in range(6):
        _honest(rows, chance)
        own = [row for row in rows if row["labeler"] == "ann5"]
        for row in own[: 12 if night >= 3 else 0]:
            row["label"] = f"class {(int(row['label'][-1]) + 1) % 4}"
        ingest_rows(bench, rows)
    worst, *_ = _found(bench, "nights")
    assert worst.severity is not Severity.NOTE
    assert worst.group["labeler"] == "ann5"
    # The sum may have begun by chance a version before.
    assert worst.group["since"] in ("4", "5")


def test_a_source_of_one_class_and_one_that_changes_are_named(bench: Bench) -> None:
    rows = _rows()
    for row in rows:
        if row["source"] == "source 2":
            row["label"] = "class 3"
    ingest_rows(bench, rows)
    more = _rows(1200, start=5000)
    for row in more:
        if row["source"] == "source 2":
            row["label"] = "class 3"
        if row["source"] == "source 4":
            row["label"] = "class 0"
    ingest_rows(bench, rows + more)
    found = [one for one in _found(bench, "mixes") if one.severity is not Severity.NOTE]
    assert {"source": "source 2", "class": "class 3"} in [one.group for one in found]
    past = [one for one in found if "came in" in one.seen]
    assert [one.group for one in past] == [{"source": "source 4", "class": "class 0"}]


def test_a_flood_from_one_source_is_named_with_its_number(bench: Bench) -> None:
    rows = _rows(600)
    ingest_rows(bench, rows)
    for night in range(3):
        rows += _rows(60, start=10_000 * (night + 1))
        ingest_rows(bench, rows)
    flood = _rows(400, start=50_000)
    for row in flood[60:]:
        row["source"] = "source 1"
    ingest_rows(bench, rows + flood)
    worst, *_ = _found(bench, "floods")
    assert worst.severity is not Severity.NOTE
    assert worst.group == {"source": "source 1", "version": "5"}
    assert worst.count == len(worst.ids) == 350
    assert "87.5%" in worst.seen


def test_a_source_that_delivers_alone_as_ever_is_no_flood(bench: Bench) -> None:
    rows: list[Row] = []
    for version in range(6):
        more = _rows(300, start=version * 1000)
        for row in more:
            row["source"] = f"source {version % 2}"
        rows += more
        ingest_rows(bench, rows)
    assert not _found(bench, "floods")


def test_payloads_of_unusual_size_are_named_by_source_and_class(bench: Bench) -> None:
    rows = _rows()
    large = [r for r in rows if r["source"] == "source 3" and r["label"] == "class 2"][:25]
    for row in large:
        row["text"] += "y" * 2000
    ingest_rows(bench, rows)
    worst, *_ = _found(bench, "sizes")
    assert worst.severity is not Severity.NOTE
    assert worst.group == {"source": "source 3", "class": "class 2"}
    assert set(worst.ids) == {row["id"] for row in large}


def test_labels_set_at_night_are_a_note(bench: Bench) -> None:
    rows = _rows()
    for row in rows[::60]:
        row["labeled_at"] = "2026-03-05T02:10:00+00:00"
    ingest_rows(bench, rows)
    found = _found(bench, "bursts")
    assert [one.group for one in found] == [{"hour": "2026-03-05T02Z"}]
    assert found[0].severity is Severity.NOTE


@pytest.mark.parametrize("check", COUNTED)
def test_attack_names_written_as_sql(bench: Bench, check: str) -> None:
    rows = _rows(600)
    ingest_rows(bench, rows)
    for row in rows[:300]:
        row.update(label="x' or 'a'='a", source="s'; drop table line; --", labeler="m' or 1=1 --")
        row["text"] += "y" * 3000
    more = [dict(row, id=f"{row['id']}b", text=f"{row['text']}b") for row in rows]
    ingest_rows(bench, rows + more)
    for finding in _found(bench, check):
        assert len(finding.ids) in (0, finding.count)


@pytest.mark.parametrize("check", COUNTED)
def test_one_version_without_labels_or_times_gives_nothing(bench: Bench, check: str) -> None:
    ingest_rows(
        bench, [{"id": str(n), "text": f"text {n}", "label": "", "source": "s"} for n in range(20)]
    )
    assert not _found(bench, check)
