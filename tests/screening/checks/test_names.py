"""The check `names`: labelers, sources and classes that are taken for others."""

from __future__ import annotations

import pytest
from conftest import Bench
from tabular import Row, ingest_rows

from provreg.screening.api import Finding, Severity


def _rows(labeler: str = "dora", count: int = 60) -> list[Row]:
    return [
        {
            "id": f"s{n}",
            "text": f"text {n}",
            "label": f"class {n % 3}",
            "source": "shop",
            "labeler": labeler,
        }
        for n in range(count)
    ]


def _findings(bench: Bench, **options: object) -> tuple[Finding, ...]:
    return bench.open().screen("pets", checks=["names"], **options).findings  # type: ignore[arg-type]


def test_names_that_count_give_no_finding(bench: Bench) -> None:
    rows = _rows()
    for number, row in enumerate(rows):
        row["labeler"] = ("ann1", "ann2", "ann 1 1", "ann11", "v1.1", "v11")[number % 6]
    ingest_rows(bench, rows)
    assert not _findings(bench)


@pytest.mark.parametrize("name", ["Dora", "do\u0433a", "d\u043era", "do ra", "do_ra", "\uff44ora"])
def test_attack_a_labeler_who_looks_like_another(bench: Bench, name: str) -> None:
    rows = _rows("dopa" if "\u0433" in name else "dora")
    rows[0]["labeler"] = name.replace("\u0433", "\u0440")
    ingest_rows(bench, rows)
    (found,) = _findings(bench)
    assert found.severity is Severity.WARNING
    assert found.group["labeler"] == rows[0]["labeler"]
    assert found.ids == ("s0",)
    assert name.isascii() or "\\u" in found.seen


@pytest.mark.parametrize("column", ["label", "source"])
def test_attack_classes_and_sources_that_look_alike(bench: Bench, column: str) -> None:
    rows = _rows()
    for row in rows:
        row[column] = "cat"
    rows[7][column] = "c\u0430t"
    ingest_rows(bench, rows)
    assert [found.group[column] for found in _findings(bench)] == ["c\u0430t"]


def test_a_new_name_one_letter_from_an_established_one_is_a_note(bench: Bench) -> None:
    rows = _rows("jonas")
    rows[9]["labeler"] = "Jonas"
    ingest_rows(bench, rows)
    rows[0] |= {"labeler": "jomas", "label": "class 1"}
    ingest_rows(bench, rows)
    (found,) = _findings(bench, against="pets@1")
    assert (found.severity, found.group) == (Severity.NOTE, {"labeler": "jomas", "like": "jonas"})
    rows[1] |= {"label": "class 0"}
    ingest_rows(bench, rows)
    assert not _findings(bench, against="pets@2")


def test_attack_thousands_of_look_alikes_are_few_findings(bench: Bench) -> None:
    rows = _rows(count=600)
    for number, row in enumerate(rows):
        letters = f"{number // 2:010b}".translate({48: "o", 49: "a"})
        row["labeler"] = letters if number % 2 else letters.upper()
    ingest_rows(bench, rows)
    findings = [found for found in _findings(bench) if found.severity is Severity.WARNING]
    assert len(findings) == 21
    assert sum(found.count for found in findings) == 300
    assert all(found.ids for found in findings)


def test_attack_too_many_names_to_compare_are_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provreg.screening.checks.names._MOST_NAMES", 20)
    rows = _rows()
    for number, row in enumerate(rows):
        row["labeler"] = f"x{number}"
    ingest_rows(bench, rows)
    (found,) = _findings(bench)
    assert found.group == {"kind": "too many labelers"}


def test_attack_names_written_as_sql(bench: Bench) -> None:
    rows = _rows("x' or 'a'='a")
    rows[0]["labeler"] = "X' or 'a'='a"
    ingest_rows(bench, rows)
    (found,) = _findings(bench)
    assert found.ids == ("s0",)
