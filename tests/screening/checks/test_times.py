"""The check `times`: labels before their samples, in the future, out of order; split in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from conftest import Bench
from tabular import Row, ids_shown_by, ingest_rows

from provreg.readers.api import ReadOptions
from provreg.screening.api import Finding, Question, Severity
from provreg.screening.checks.times import CHECK


def _rows(count: int = 8) -> list[Row]:
    """One sensor a row, seen on a day of January and labeled two days later."""
    return [
        {
            "id": f"sensor{n % 4}@2026-01-{n + 1:02}T00:00:00Z",
            "text": f"text {n}",
            "source": "plant",
            "label": f"class {n % 2}",
            "labeler": f"ann{n % 2}",
            "labeled_at": f"2026-01-{n + 3:02}T00:00:00Z",
        }
        for n in range(count)
    ]


def _findings(bench: Bench, **options: Any) -> dict[str, Finding]:
    findings = bench.open().screen("pets", checks=["times"], **options).findings
    return {finding.group["kind"]: finding for finding in findings}


def _in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_labels_in_order_give_no_finding(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    rows[0] |= {"label": "class 1", "labeled_at": "2026-01-20T00:00:00Z"}
    ingest_rows(bench, rows)
    assert not _findings(bench)


def test_ids_without_a_time_give_no_finding(bench: Bench) -> None:
    odd = ("plain", "a@2026-99-99T99:99:99Z", "2026-01-01T00:00:00Z/x.jpg", "%-%T%:%:%Z", "@")
    ingest_rows(bench, [row | {"id": name} for name, row in zip(odd, _rows(), strict=False)])
    assert not _findings(bench)


@pytest.mark.parametrize(("labeled_at", "severity"), [
    ("2025-12-31T12:00:00Z", Severity.NOTE), ("2025-12-01T00:00:00Z", Severity.ERROR)
])  # fmt: skip
def test_a_label_before_the_sample(bench: Bench, labeled_at: str, severity: Severity) -> None:
    rows = _rows()
    rows[0]["labeled_at"] = labeled_at
    rows[2]["labeled_at"] = "2026-01-02T23:00:00Z"
    ingest_rows(bench, rows)
    (found,) = _findings(bench).values()
    assert (found.group["kind"], found.severity) == ("labeled before collected", severity)
    assert "by labeler 'ann0'" in found.seen
    assert found.ids == (() if severity is Severity.NOTE else (rows[0]["id"],))
    assert ids_shown_by(bench, found) == (
        {rows[0]["id"], rows[2]["id"]} if severity is Severity.NOTE else {rows[0]["id"]}
    )


def test_a_label_from_the_future(bench: Bench) -> None:
    rows = _rows()
    rows[3]["labeled_at"] = _in_days(30)
    rows[4]["labeled_at"] = _in_days(0.2)
    ingest_rows(bench, rows)
    (found,) = _findings(bench).values()
    assert (found.group["kind"], found.severity) == ("labeled in the future", Severity.ERROR)
    assert found.ids == (rows[3]["id"],)
    assert ids_shown_by(bench, found) == set(found.ids)


def test_attack_a_future_label_in_a_later_version_is_measured_by_that_version(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    rows[1] |= {"label": "class 0", "labeled_at": _in_days(9)}
    ingest_rows(bench, rows)
    (found,) = _findings(bench, against="pets@1").values()
    assert found.ids == (rows[1]["id"],)
    assert ids_shown_by(bench, found) == set(found.ids)
    rows[2] |= {"label": "class 1", "labeled_at": "2026-02-02T00:00:00Z"}
    ingest_rows(bench, rows)
    assert not _findings(bench, against="pets@2")
    assert _findings(bench)["labeled in the future"].ids == (rows[1]["id"],)


def test_a_label_is_held_against_the_version_that_brought_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _rows()
    rows[4]["labeled_at"] = "2026-02-10T00:00:00Z"
    relabeled = {
        1: {}, 2: {1: "2026-03-10T00:00:00Z", 3: "2026-02-10T00:00:00Z"},
        3: {2: "2026-03-10T00:00:00Z", 3: "2026-03-10T00:00:00Z"},
    }  # fmt: skip
    for month, labeled in relabeled.items():
        for place, moment in labeled.items():
            rows[place] |= {"label": f"class {month}", "labeled_at": moment}
        _publish_at(bench, monkeypatch, datetime(2026, month, 20, tzinfo=UTC), rows)
    found = _findings(bench)["labeled in the future"]
    assert set(found.ids) == {rows[1]["id"], rows[4]["id"]}
    assert ids_shown_by(bench, found) == set(found.ids)


def _publish_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: datetime, rows: list[Row]
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return moment

    monkeypatch.setattr("provreg.flows.ingest.ingest.datetime", Clock)
    ingest_rows(bench, rows)


def test_what_was_labeled_within_the_second_of_a_version_is_no_finding(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _rows()
    rows[0]["labeled_at"] = "2026-02-01T12:00:00.7Z"
    _publish_at(bench, monkeypatch, datetime(2026, 2, 1, 12, 0, 0, 900_000, UTC), rows)
    assert not _findings(bench)


def test_attack_a_backdated_relabel(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    rows[5] |= {"label": "class 0", "labeler": "mallory", "labeled_at": "2020-01-01T00:00:00Z"}
    ingest_rows(bench, rows)
    found = _findings(bench)["labeled out of order"]
    assert found.severity is Severity.WARNING
    assert found.ids == (rows[5]["id"],)
    assert ids_shown_by(bench, found) == set(found.ids)
    assert "by labeler 'mallory'" in found.seen


def test_an_entity_on_both_sides_of_a_time_is_a_note(bench: Bench) -> None:
    ingest_rows(bench, _rows())
    middle = datetime(2026, 1, 6, tzinfo=UTC)
    (found,) = _findings(bench, split_at=middle).values()
    assert found.severity is Severity.NOTE
    assert found.seen.startswith("3 entities are both before and after 2026-01-06")
    assert found.count == 6
    assert not _findings(bench, split_at=datetime(2027, 1, 1, tzinfo=UTC))


def test_equal_bytes_on_both_sides_of_a_time_are_an_error(bench: Bench) -> None:
    folder = bench.write("data", {
        "a@2026-01-01T00:00:00Z": b"same", "b@2026-03-01T00:00:00Z": b"same",
        "c@2026-03-02T00:00:00Z": b"other",
    })  # fmt: skip
    bench.ingest(folder, options=ReadOptions(label="none"))
    found = _findings(bench, split_at=datetime(2026, 2, 1, tzinfo=UTC))["content on both sides"]
    assert found.severity is Severity.ERROR
    assert found.ids == ("a@2026-01-01T00:00:00Z", "b@2026-03-01T00:00:00Z")
    assert ids_shown_by(bench, found) == set(found.ids)


def test_split_at_says_when_there_is_no_time(bench: Bench) -> None:
    bench.ingest(bench.pets())
    assert set(_findings(bench, split_at=datetime(2026, 2, 1, tzinfo=UTC))) == {"no times"}


@pytest.mark.parametrize(("hours", "severity"), [(1, None), (-2, Severity.NOTE), (-80, "warning")])
def test_attack_a_version_older_than_the_one_it_follows(hours: int, severity: str | None) -> None:
    first = datetime(2026, 5, 1, tzinfo=UTC)
    times = [first, first + timedelta(hours=hours)]
    order = pa.table({"version": [1, 2], "created": times, "signed_at": times})
    tables = {"contradictions": pa.table({"kind": pa.array([], pa.string())}), "order": order}
    found = list(CHECK.find(tables, Question("pets", 2, 1, ())))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(finding.samples.where == "version in (2)" for finding in found)
