"""Attacks that give what somebody brought another name, so that nothing of theirs is found."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from provreg.core.statements.revocation import NamedSamples
from provreg.errors import NotTrustedError
from provreg.flows.sign.scope import Scope
from provreg.flows.verify.changes import rows_revoked

if TYPE_CHECKING:
    from tests.conftest import Bench


class Line:
    """A dataset of one folder of labeled files, one version after the other."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.data = bench.write("data", {"cat/0.jpg": "0", "dog/1.jpg": "1"})
        self.publish(source="shelter", labeler="ann")

    def publish(self, *named: str, append: bool = False, **said: str) -> None:
        """A version of the data as they are; `named` are rows of a labels file."""
        labels = None
        if named:
            columns = "id,source,labeler"
            labels = self.bench.write("labels", {"l.csv": "\n".join([columns, *named, ""])})
            labels /= "l.csv"
        said = {"source": "mover", "labeler": "mover"} | said
        outcome = self.bench.ingest(self.data, labels=labels, append=append, **said)  # type: ignore[arg-type]
        assert outcome.head is not None

    def put(self, **files: str) -> None:
        self.bench.write("data", {name.replace("__", "/"): data for name, data in files.items()})

    def move(self, old: str, new: str) -> None:
        (self.data / new).parent.mkdir(parents=True, exist_ok=True)
        (self.data / old).rename(self.data / new)

    def copy(self, old: str, new: str) -> None:
        (self.data / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.data / old, self.data / new)

    def swap(self, one: str, other: str) -> None:
        self.move(one, "aside")
        self.move(other, one)
        self.move("aside", other)

    def origins(self, reference: str = "pets") -> dict[str, tuple[str, str | None]]:
        entries = self.bench.open().verify(reference).entries
        rows = entries.select(["id", "source", "labeler"]).to_pylist()
        return {row["id"]: (row["source"], row["labeler"]) for row in rows}

    def revoked(self, by: str, name: str, since: int = 1, reference: str = "pets") -> list[str]:
        """What a revocation of this name leaves out, for who never asked before and who did."""
        samples = NamedSamples(**{by: name}, since=since)
        found = []
        for forgotten in (True, False, False):
            if forgotten:
                self.bench.forget("PROVREG_CACHE")
            registry = self.bench.open()
            one = registry.verify(reference)
            mask = rows_revoked(registry.workspace, one.digest, one.head, one.entries, [samples])
            found.append(one.entries.column("id").filter(pa.array(mask)).to_pylist())
        assert found[0] == found[1] == found[2]
        return found[0]


@pytest.fixture
def line(bench: Bench) -> Line:
    made = Line(bench)
    made.put(cat__fay="poison", dog__fay="more poison")
    made.publish(source="fays-crawl", labeler="fay")
    return made


FAYS = ["cat/fay", "dog/fay"]


def test_moving_bytes_delivered_twice_does_not_launder_their_origin(bench: Bench) -> None:
    line = Line(bench)
    line.put(cat__a="poison", cat__b="poison")
    line.publish(source="fays-crawl", labeler="fay")
    line.move("cat/a", "cat/c")
    line.move("cat/b", "cat/d")
    line.publish()
    assert {one: line.origins()[one] for one in ("cat/c", "cat/d")} == dict.fromkeys(
        ("cat/c", "cat/d"), ("fays-crawl", "fay")
    )
    assert line.revoked("source", "fays-crawl") == ["cat/c", "cat/d"]


def test_moving_bytes_to_two_places_does_not_launder_their_origin(line: Line) -> None:
    line.copy("cat/fay", "cat/one")
    line.move("cat/fay", "cat/two")
    line.publish()
    assert line.origins()["cat/one"] == line.origins()["cat/two"] == ("fays-crawl", "fay")


def test_swapping_two_samples_does_not_launder_their_origin(line: Line) -> None:
    line.swap("cat/fay", "cat/0.jpg")
    line.publish()
    assert line.origins()["cat/0.jpg"] == ("fays-crawl", "fay")
    assert line.origins()["cat/fay"] == ("shelter", "ann")
    assert line.revoked("source", "fays-crawl") == ["cat/0.jpg", "dog/fay"]
    assert line.revoked("labeler", "fay") == ["cat/0.jpg", "cat/fay", "dog/fay"]


def test_replacing_bytes_and_bringing_them_under_a_new_id_does_not_launder_them(
    line: Line,
) -> None:
    line.move("cat/fay", "cat/new")
    line.put(cat__fay="harmless")
    line.publish()
    assert line.origins()["cat/new"] == ("fays-crawl", "fay")
    assert line.origins()["cat/fay"] == ("mover", "fay")  # the label of the id is still fay's
    assert line.revoked("source", "fays-crawl") == ["cat/new", "dog/fay"]


@pytest.mark.parametrize("by", ["source", "labeler"])
def test_a_renamed_source_or_labeler_is_still_revoked(line: Line, by: str) -> None:
    row = {"source": "{},clean-crawl,fay", "labeler": "{},fays-crawl,fay.miller"}[by]
    line.publish(*(row.format(one) for one in FAYS))
    old, new = {"source": ("fays-crawl", "clean-crawl"), "labeler": ("fay", "fay.miller")}[by]
    assert line.revoked(by, old) == FAYS
    assert line.revoked(by, new) == FAYS


def test_a_renamed_labeler_is_still_revoked(line: Line) -> None:
    line.publish("cat/fay,fays-crawl,fay.miller")
    line.publish("cat/fay,fays-crawl,f.m.")
    line.put(dog__2="2")
    line.publish()
    for name in ("fay", "fay.miller", "f.m."):
        assert "cat/fay" in line.revoked("labeler", name)
    assert line.revoked("labeler", "fay", reference="pets@2") == FAYS


def test_a_labeler_whose_name_was_taken_away_is_still_revoked(line: Line, bench: Bench) -> None:
    head = bench.open().verify("pets").head
    bench.forge(replace(head, version=3, parent=head.digest()))  # nothing but a version between
    line.publish("cat/fay,fays-crawl,ann", "dog/fay,fays-crawl,ann")
    assert line.revoked("labeler", "fay") == FAYS


def test_renaming_samples_and_their_source_does_not_launder_them(line: Line) -> None:
    line.move("cat/fay", "cat/2.jpg")
    line.move("dog/fay", "cat/3.jpg")
    line.publish("cat/2.jpg,clean,ben", "cat/3.jpg,clean,ben")
    assert line.revoked("source", "fays-crawl") == ["cat/2.jpg", "cat/3.jpg"]
    assert line.revoked("labeler", "fay") == ["cat/2.jpg"]  # the dog was labeled anew


def test_swapping_samples_and_rewriting_their_sources_does_not_launder_them(line: Line) -> None:
    line.swap("cat/fay", "cat/0.jpg")
    line.publish("cat/0.jpg,clean,ben", "cat/fay,clean,ben")
    assert line.revoked("source", "fays-crawl") == ["cat/0.jpg", "dog/fay"]
    assert line.revoked("labeler", "fay") == ["cat/0.jpg", "cat/fay", "dog/fay"]


def test_moving_equal_bytes_of_two_sources_does_not_launder_them(bench: Bench) -> None:
    """Whose bytes went where cannot be told: both are revoked."""
    line = Line(bench)
    line.put(cat__a="poison")
    line.publish(source="fays-crawl", labeler="fay")
    line.put(cat__b="poison")
    line.publish(source="another", labeler="ben")
    line.move("cat/a", "cat/c")
    line.move("cat/b", "cat/d")
    line.publish()
    assert line.origins()["cat/c"] == ("mover", "mover")
    assert line.revoked("source", "fays-crawl") == ["cat/c", "cat/d"]
    assert line.revoked("labeler", "fay") == ["cat/c", "cat/d"]


def test_new_bytes_end_a_revoked_source_and_a_new_label_a_revoked_labeler(line: Line) -> None:
    line.publish("cat/fay,clean,ben", "dog/fay,clean,ben")
    line.put(cat__fay="harmless")
    line.move("dog/fay", "cat/was_a_dog")
    line.publish(source="clean", labeler="ben")
    assert line.revoked("source", "fays-crawl") == ["cat/was_a_dog"]
    assert line.revoked("labeler", "fay") == ["cat/fay"]


def test_relabeling_there_and_back_is_a_new_label(line: Line) -> None:
    line.move("cat/fay", "dog/back")
    line.publish(labeler="ben")
    line.move("dog/back", "cat/fay")
    line.publish(labeler="ben")
    assert line.origins()["cat/fay"] == ("fays-crawl", "ben")
    assert line.revoked("labeler", "fay") == ["dog/fay"]
    assert line.revoked("source", "fays-crawl") == FAYS


def test_what_stood_before_the_revoked_time_stands_under_a_later_name_too(line: Line) -> None:
    line.publish("cat/fay,fays-crawl,fay.miller", "dog/fay,fays-crawl,fay")
    line.put(cat__third="3")
    line.publish(labeler="fay")
    line.publish("cat/third,mover,ann")
    assert line.revoked("labeler", "fay", since=4) == ["cat/third"]
    assert line.revoked("labeler", "fay", since=2) == ["cat/fay", "cat/third", "dog/fay"]


def test_a_reattribution_to_a_name_and_away_is_revoked_by_it(line: Line) -> None:
    line.publish("cat/0.jpg,shelter,mallory")
    line.publish("cat/0.jpg,shelter,ann")
    assert line.revoked("labeler", "mallory", since=3) == ["cat/0.jpg"]


def test_names_are_not_told_where_a_version_of_the_line_is_damaged(
    line: Line, bench: Bench
) -> None:
    line.publish("cat/fay,fays-crawl,fay.miller")
    part = bench.open().verify("pets@2").head.parts[0]
    bench.overwrite(bench.object(part.file), b"damaged")
    with pytest.raises(NotTrustedError):
        line.revoked("labeler", "fay")


def test_names_are_told_though_block_lists_are_lost(line: Line, bench: Bench) -> None:
    line.publish("cat/fay,fays-crawl,fay.miller")
    for number in (1, 2, 3):
        for part in bench.open().verify(f"pets@{number}").head.parts:
            bench.object(part.blocks).unlink(missing_ok=True)
    assert line.revoked("labeler", "fay") == FAYS


def test_a_damaged_memory_of_names_is_made_again(line: Line, home: Path) -> None:
    line.publish("cat/fay,fays-crawl,fay.miller")
    chief = line.bench.open(revoke=("chief",))
    samples = Scope(labeler="fay")
    chief.revoke("pets", "poison", line.bench.signer("chief"), samples=samples)
    files = [path for path in home.rglob("former-1/*/*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(bytes(len(path.read_bytes())))
        registry = line.bench.open(revoke=("chief",))
        assert registry.verify("pets").revoked_samples().sum() == 2


def test_revoking_says_under_which_names_the_samples_are_now(line: Line, bench: Bench) -> None:
    line.publish("cat/fay,fays-crawl,fay.miller")
    public = bench.key_file()
    made = bench.run("revoke", "pets", "--labeler", "fay", "--reason", "poison", "--sign",
                     f"key:{public.with_suffix('')}", "--yes")  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert b"samples labeled by fay: 2 of them" in made.stdout
    assert b"1 now name fay.miller" in made.stdout
