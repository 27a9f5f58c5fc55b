"""Attacks on the order of classes: a model's outputs come to mean other labels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provreg.core.manifest.head import LABEL_TYPES, Head
from provreg.errors import NotTrustedError
from provreg.flows.ingest.publish import Outcome
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench


def published(bench: Bench) -> tuple[Head, str]:
    """The pets, seen by the consumer: cat is 0, dog is 1."""
    first = bench.ingest(bench.pets())
    assert first.head is not None
    assert first.digest is not None
    assert first.head.classes == ("cat", "dog")
    bench.open().verify("pets")
    return first.head, first.digest


def after(head: Head, parent: str, label_type: str, *classes: str) -> Head:
    nothing = dict.fromkeys(head.changes, 0)
    return replace(
        head, version=head.version + 1, parent=parent, label_type=label_type, classes=classes,
        changes=nothing,
    )  # fmt: skip


def relabeled_by_way_of_text(bench: Bench) -> None:
    first, digest = published(bench)
    text = after(first, digest, "text")
    bench.forge(after(text, bench.forge(text), "class", "dog", "cat"))


def test_relabeling_by_way_of_text_does_not_reorder_classes(bench: Bench) -> None:
    relabeled_by_way_of_text(bench)
    for seen in ("pets@1", "pets@2"):
        bench.forget()
        bench.open().verify(seen)
        with pytest.raises(NotTrustedError, match="goes back from text to class") as refused:
            bench.open().verify("pets@3")
        assert refused.value.step == 9
    bench.forget()
    bench.open().verify("pets@3")  # has nothing to compare with
    with pytest.raises(NotTrustedError, match="goes back from text to class"):
        bench.open().verify("pets@1")  # cat would be 0 here and 1 there
    assert [one.number for one in bench.open().sync()] == [3]


def test_nobody_publishes_upon_classes_that_were_reordered_by_way_of_text(bench: Bench) -> None:
    relabeled_by_way_of_text(bench)
    made = bench.ingest(bench.pets("more", 7))
    assert made.head is not None
    assert made.head.version == 4
    assert made.head.parent == bench.open().resolve("pets@2").digest
    assert (made.head.label_type, made.head.classes) == ("text", ())
    bench.open().verify("pets")


@pytest.mark.parametrize(
    ("before", "now"), [("text", "none"), ("class", "none"), ("text", "class")]
)
def test_a_label_type_that_goes_back_is_refused(bench: Bench, before: str, now: str) -> None:
    labels = {"text": bench.write("labels", {"l.csv": f"id,label\na.txt,{'x' * 2000}\n"}) / "l.csv"}
    data = bench.write("data", {"a.txt" if before == "text" else "cat/a.txt": "a"})
    how = ReadOptions(label="none") if before == "text" else ReadOptions()
    first = bench.ingest(data, labels=labels.get(before), options=how)
    assert first.head is not None
    assert first.digest is not None
    assert first.head.label_type == before
    bench.open().verify("pets")
    plain = bench.write("plain", {"a.txt": "a"})
    other = bench.ingest(plain, name="plain", options=ReadOptions(label="none"))
    assert other.head is not None
    forged = replace(
        other.head, dataset="pets", uid=first.head.uid, version=2, parent=first.digest,
        label_type=now,
    )  # fmt: skip
    bench.forge(forged)
    with pytest.raises(NotTrustedError, match=f"goes back from {before} to {now}") as refused:
        bench.open().verify("pets")
    assert refused.value.step == 9


def test_the_writer_keeps_label_type_and_indices_whatever_becomes_of_the_labels(
    bench: Bench,
) -> None:
    first, _ = published(bench)

    def ingest(name: str, *labels: str) -> Head:
        rows = "".join(f"dog/0.jpg,{label}\n" for label in labels)
        file = bench.write(name, {"l.csv": f"id,label\n{rows}"}) / "l.csv"
        outcome: Outcome = bench.ingest(bench.pets(), labels=file)
        assert outcome.head is not None
        return outcome.head

    assert ingest("ant", "ant").classes == ("cat", "dog", "ant")
    assert ingest("bee", "bee").classes == ("cat", "dog", "ant", "bee")
    text = ingest("long", "x" * 2000)
    assert (text.label_type, text.classes) == ("text", ())
    again = ingest("short", "cat")
    assert (again.label_type, again.classes) == ("text", ())
    assert LABEL_TYPES.index(again.label_type) > LABEL_TYPES.index(first.label_type)
    bench.open().verify("pets")


def test_reordered_classes_are_shown_in_diff(bench: Bench) -> None:
    relabeled_by_way_of_text(bench)
    key = bench.key_file()
    for pair, types, moved in (
        (("pets@1", "pets@2"), ("class", "text"), []),
        (("pets@1", "pets@3"), ("class", "class"), [("cat", 0, 1), ("dog", 1, 0)]),
    ):
        shown = bench.run("diff", *pair, "--key", key)
        assert shown.returncode == 0, shown.stderr
        made = bench.run("diff", *pair, "--key", key, "--json", "--exit-code")
        assert made.returncode == 1  # no sample changed, but what their labels mean
        labels = json.loads(made.stdout)["labels"]
        assert (labels["old"], labels["new"]) == types
        assert [(one["class"], one["old"], one["new"]) for one in labels["moved"]] == moved
        words = shown.stdout.decode()
        assert "class -> text" in words or "cat 0 -> 1, dog 1 -> 0" in words
    assert (
        b"changes cannot be attributed"
        in bench.run("diff", "pets@1", "pets@3", "--key", key).stderr
    )
