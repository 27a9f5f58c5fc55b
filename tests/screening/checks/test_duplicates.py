"""The check `duplicates`: equal bytes with other labels, in other splits, or merely again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import Bench
from tabular import ids_shown_by, ingest_rows

from provreg.readers.api import ReadOptions
from provreg.screening import catalog
from provreg.screening.api import Finding, Question, Severity, Tables
from provreg.screening.checks import duplicates

PETS = {f"train/cat/{n}.jpg": b"cat %d" % n for n in range(5)}


def _ingest(bench: Bench, files: dict[str, bytes]) -> None:
    folder = bench.write("data", files)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    bench.ingest(folder, options=ReadOptions(label="dir", split="dir"))


def _findings(bench: Bench, **options: object) -> dict[str, Finding]:
    findings = bench.open().screen("pets", checks=["duplicates"], **options).findings  # type: ignore[arg-type]
    return {finding.group["kind"]: finding for finding in findings}


def test_different_bytes_give_no_finding(bench: Bench) -> None:
    _ingest(bench, PETS | {"test/cat/9.jpg": b"cat 9", "test/dog/9.jpg": b"dog 9"})
    assert not _findings(bench)


def test_equal_bytes_of_one_class_and_split_are_a_note(bench: Bench) -> None:
    _ingest(bench, PETS | {"train/cat/again.jpg": b"cat 1"})
    (found,) = _findings(bench).values()
    assert (found.severity, found.count) == (Severity.NOTE, 2)
    assert ids_shown_by(bench, found) == {"train/cat/1.jpg", "train/cat/again.jpg"}


def test_equal_bytes_with_two_labels_are_an_error_with_their_ids(bench: Bench) -> None:
    again = {
        "train/cat/again.jpg": b"cat 4",
        "test/cat/5.jpg": b"cat 5",
        "test/cat/6.jpg": b"cat 5",
    }
    _ingest(bench, PETS | again | {"train/dog/1.jpg": b"cat 1", "train/dog/2.jpg": b"dog 2"})
    found = _findings(bench)["other label"]
    assert ids_shown_by(bench, found) == set(found.ids)
    assert found.severity is Severity.ERROR
    assert found.ids == ("train/cat/1.jpg", "train/dog/1.jpg")
    assert "'cat' and 'dog' (1)" in found.seen


def test_test_data_among_the_training_data_are_an_error(bench: Bench) -> None:
    _ingest(bench, PETS | {"test/cat/1.jpg": b"cat 1", "test/cat/2.jpg": b"cat 2"})
    (found,) = _findings(bench).values()
    assert found.severity is Severity.ERROR
    assert found.group == {"kind": "other split"}
    assert len(found.ids) == found.count == 4
    assert ids_shown_by(bench, found) == set(found.ids)


def test_attack_an_image_flipped_in_the_test_split_is_both(bench: Bench) -> None:
    _ingest(bench, PETS | {"test/dog/1.jpg": b"cat 1"})
    assert set(_findings(bench)) == {"other label", "other split"}


def test_what_was_there_before_against_is_not_reported_again(bench: Bench) -> None:
    old = PETS | {"train/dog/1.jpg": b"cat 1"}
    _ingest(bench, old)
    _ingest(bench, old | {"train/dog/7.jpg": b"dog 7"})
    assert _findings(bench)
    assert not _findings(bench, against="pets@1")
    _ingest(bench, old | {"train/dog/7.jpg": b"dog 7", "train/dog/2.jpg": b"cat 2"})
    (found,) = _findings(bench, against="pets@1").values()
    assert found.ids == ("train/cat/2.jpg", "train/dog/2.jpg")
    assert ids_shown_by(bench, found) == set(found.ids)


def test_attack_a_million_pairs_are_one_finding(bench: Bench) -> None:
    twins = {f"train/{name}/{n}.jpg": b"%d" % n for n in range(300) for name in ("cat", "dog")}
    _ingest(bench, twins)
    (found,) = _findings(bench).values()
    assert found.count == 600


@pytest.mark.parametrize("name", ["x' or 'a'='a", '$(touch x) "`'])
def test_the_command_shows_the_samples(bench: Bench, name: str) -> None:
    _ingest(bench, PETS | {f"train/{name}/1.jpg": b"cat 1"})
    (found,) = _findings(bench).values()
    assert set(found.ids) == {"train/cat/1.jpg", f"train/{name}/1.jpg"}
    assert ids_shown_by(bench, found) == set(found.ids)


def test_labels_that_are_kept_as_digests_are_told_apart(bench: Bench) -> None:
    rows = [{"id": f"s{n}", "text": "the same", "label": "x" * 5000} for n in range(3)]
    ingest_rows(bench, [row | {"source": "shop"} for row in rows])
    assert set(_findings(bench)) == {"same label and split"}
    rows[0]["label"] = "y" * 5000
    ingest_rows(bench, [row | {"source": "shop"} for row in rows])
    found = _findings(bench)["other label"]
    assert len(found.ids) == 3
    assert ids_shown_by(bench, found) == set(found.ids)


@pytest.mark.parametrize("against", [None, "pets@1"])
def test_the_conditions_of_findings_give_the_samples(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, against: str | None
) -> None:
    """Those that are looked up by their condition, as the findings of other checks are."""
    old = PETS | {"train/dog/1.jpg": b"cat 1", "train/cat/again.jpg": b"cat 2"}
    _ingest(bench, old)
    _ingest(bench, old | {"train/dog/3.jpg": b"cat 3", "test/cat/4.jpg": b"cat 4"})
    known = _findings(bench, against=against)

    def forgotten(tables: Tables, question: Question) -> Iterator[Finding]:
        for finding in duplicates.CHECK.find(tables, question):
            yield replace(finding, ids=())

    check = replace(duplicates.CHECK, find=forgotten)
    monkeypatch.setattr(catalog, "OWN", (check,))
    assert {kind: found.ids for kind, found in _findings(bench, against=against).items()} == {
        kind: found.ids for kind, found in known.items()
    }
