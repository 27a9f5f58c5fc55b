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


def _attacked(bench: Bench, honest: str, name: str) -> None:
    """The labeler `honest` is joined by `name`, who is found."""
    rows = _rows(honest)
    rows[0]["labeler"] = name
    ingest_rows(bench, rows)
    (found,) = _findings(bench)
    assert found.severity is Severity.WARNING
    assert found.group == {"labeler": name, "like": honest}
    assert found.ids == ("s0",)


def test_attack_a_name_all_in_cyrillic(bench: Bench) -> None:
    _attacked(bench, "coco", "\u0441\u043e\u0441\u043e")


def test_attack_rn_for_m(bench: Bench) -> None:
    _attacked(bench, "smith", "srnith")


def test_attack_one_for_l(bench: Bench) -> None:
    _attacked(bench, "annl", "ann1")


def test_attack_a_capital_i_for_l(bench: Bench) -> None:
    _attacked(bench, "annl", "annI")


def test_attack_mathematical_letters(bench: Bench) -> None:
    _attacked(bench, "mona", "\U0001d426\U0001d428\U0001d427\U0001d41a")


def test_attack_fullwidth_letters(bench: Bench) -> None:
    _attacked(bench, "mona", "\uff4d\uff4f\uff4e\uff41")


def test_attack_zero_width_characters(bench: Bench) -> None:
    """Names of people cannot have them. Classes can: a joiner is ordinary between some letters."""
    rows = _rows()
    for row in rows:
        row["label"] = "\u0646\u0645\u06cc\u062f\u0627\u0646"
    rows[7]["label"] = "\u0646\u0645\u06cc\u200c\u062f\u0627\u0646"
    ingest_rows(bench, rows)
    (found,) = _findings(bench)
    assert (found.severity, found.ids) == (Severity.WARNING, ("s7",))
    assert "\\u200c" in found.seen


def test_two_classes_that_may_both_be_meant_are_a_note(bench: Bench) -> None:
    rows = _rows()
    for number, row in enumerate(rows):
        row["label"] = ("modern", "modem", "A", "a")[number % 4]
    ingest_rows(bench, rows)
    found = _findings(bench)
    assert {finding.severity for finding in found} == {Severity.NOTE}
    assert {frozenset(finding.group.values()) for finding in found} == {
        frozenset({"modern", "modem"}),
        frozenset({"A", "a"}),
    }
    assert all("may both be meant" in finding.seen for finding in found)


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
