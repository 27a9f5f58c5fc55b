"""The check `origins`: versions that do not count, labels of others, large new sources."""

from __future__ import annotations

from typing import Any

from conftest import Bench
from tabular import Row, ingest_rows

from provreg.screening.api import Finding, Severity


def _rows(count: int = 100, labeler: str = "alice") -> list[Row]:
    return [
        {
            "id": f"s{n:04}",
            "text": f"text {n}",
            "label": f"class {n % 3}",
            "source": "shop",
            "labeler": labeler,
        }
        for n in range(count)
    ]


def _findings(bench: Bench, *trusted: str, **options: Any) -> tuple[Finding, ...]:
    registry = bench.open(*trusted, **options.pop("roles", {}))
    return registry.screen("pets", checks=["origins"], **options).findings


def _both(bench: Bench, rows: list[Row], by: str) -> None:
    ingest_rows(bench, rows, by=by, trusting=["alice", "bob"])


def test_trusted_versions_give_no_finding(bench: Bench) -> None:
    rows = _rows()
    _both(bench, rows, "alice")
    rows[0] |= {"label": "class 1", "labeler": "bob"}
    _both(bench, rows, "bob")
    assert not _findings(bench, "alice", "bob")


def test_attack_samples_of_a_version_that_nobody_trusts(bench: Bench) -> None:
    rows = _rows()
    _both(bench, rows, "alice")
    for row in rows[:7]:
        row["label"] = "class 9"
    _both(bench, rows, "bob")
    rows[0] |= {"label": "class 0"}
    _both(bench, rows, "alice")
    (found,) = _findings(bench, "alice")
    assert found.group == {"standing": "distrusted"}
    assert found.severity is Severity.WARNING
    assert found.ids == tuple(row["id"] for row in rows[1:7])
    assert not _findings(bench, "alice", against="pets@2")


def test_without_a_policy_that_knows_anybody_it_is_a_note(bench: Bench) -> None:
    ingest_rows(bench, _rows())
    (found,) = _findings(bench, "carol")
    assert found.severity is Severity.NOTE


def test_attack_the_signature_of_a_version_is_taken_away(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    rows[3]["label"] = "class 9"
    ingest_rows(bench, rows)
    head = bench.open().resolve("pets@2").digest
    rows[4]["label"] = "class 9"
    ingest_rows(bench, rows)
    for path in bench.signatures(head).glob("*"):
        path.unlink()
    found = next(one for one in _findings(bench) if one.group.get("standing") == "unsigned")
    assert (found.severity, found.ids) == (Severity.WARNING, ("s0003",))


def test_attack_labels_in_the_name_of_somebody_else(bench: Bench) -> None:
    rows = _rows()
    _both(bench, rows, "alice")
    rows[0] |= {"label": "class 1", "labeler": "bob"}
    _both(bench, rows, "bob")
    rows[1] |= {"label": "class 2", "labeler": "alice"}
    rows[5] |= {"label": "class 1", "labeler": "alice"}
    rows[6] |= {"label": "class 2", "labeler": "bob"}
    _both(bench, rows, "bob")
    (found,) = _findings(bench, "alice", "bob")
    assert (found.group, found.severity) == ({"labeler": "alice"}, Severity.WARNING)
    assert found.ids == ("s0001", "s0005")
    assert "'bob'" in found.seen


def test_labelers_who_are_no_principals_give_no_finding(bench: Bench) -> None:
    rows = _rows(labeler="ann7")
    _both(bench, rows, "alice")
    rows[0] |= {"label": "class 1", "labeler": "bob"}
    _both(bench, rows, "bob")
    rows[1] |= {"label": "class 2", "labeler": "alice"}
    _both(bench, rows, "bob")
    assert not _findings(bench, "alice", "bob")


def test_a_large_new_source_is_a_note_and_a_small_one_nothing(bench: Bench) -> None:
    rows = _rows(1000)
    ingest_rows(bench, rows)
    more = [row | {"id": f"t{row['id']}", "source": "x' or 'a'='a"} for row in rows[:300]]
    few = [row | {"id": f"u{row['id']}", "source": "attic"} for row in rows[:30]]
    ingest_rows(bench, [*rows, *more, *few])
    (found,) = _findings(bench)
    assert found.group == {"source": "x' or 'a'='a"}
    assert (found.severity, found.count) == (Severity.NOTE, 300)


def test_what_a_revoked_version_brought_is_an_error(bench: Bench) -> None:
    rows = _rows()
    ingest_rows(bench, rows)
    for row in rows[:2]:
        row["label"] = "class 9"
    ingest_rows(bench, rows)
    rows[0]["label"] = "class 0"
    ingest_rows(bench, rows)
    roles = {"revoke": ["alice"]}
    bench.open(**roles).revoke("pets@2", "poison", bench.signer())
    found = next(
        one for one in _findings(bench, roles=roles) if one.group == {"standing": "revoked"}
    )
    assert found.severity is Severity.ERROR
    assert found.ids == ("s0001",)
