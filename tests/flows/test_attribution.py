"""Diff, blame and lineage: every change has the right version and the right name beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.errors import DamagedError, NotFoundError
from provreg.flows import blame as blaming
from provreg.flows import lineage

if TYPE_CHECKING:
    from provreg.flows.blame import SampleBlame
    from tests.conftest import Bench

SIGNERS = ("alice", "bob", "carol", "dave", "erin")


class Story:
    """Versions of one folder, each signed by the next of SIGNERS, who also labels."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.data = bench.write("data", {f"cat/{n}": b"%d" % n for n in range(4)})
        self.versions = 0
        self.publish()

    def publish(self, **options: object) -> None:
        name = SIGNERS[self.versions]
        options = {"source": f"{name}'s source", "labeler": f"{name}'s labeler"} | options
        outcome = self.bench.ingest(self.data, by=name, trusting=SIGNERS, **options)
        assert outcome.head is not None
        self.versions += 1

    def move(self, old: str, new: str) -> None:
        (self.data / new).parent.mkdir(exist_ok=True)
        (self.data / old).rename(self.data / new)

    def put(self, name: str, data: bytes) -> None:
        self.bench.write("data", {name: data})

    def drop(self, name: str) -> None:
        (self.data / name).unlink()

    def diff(self, old: int = 1, new: int | None = None) -> dict[str, tuple[str, int, str]]:
        """(kinds, version, signer) of each change, by id."""
        registry = self.bench.open(*SIGNERS)
        found = registry.diff(f"pets@{old}", f"pets@{new or self.versions}")
        return {
            change.id: (
                " ".join(change.kinds),
                change.version.head.version,
                change.version.signers[0].principal,
            )
            for change in found
            if change.version is not None
        }

    def blame(self, *ids: str) -> Sequence[SampleBlame]:
        return list(self.bench.open(*SIGNERS).blame("pets", ids))


@pytest.fixture
def story(bench: Bench) -> Story:
    return Story(bench)


def test_each_change_belongs_to_the_version_that_made_it(story: Story) -> None:
    story.put("cat/new", b"new")
    story.publish()
    story.move("cat/0", "dog/0")
    story.publish()
    story.put("cat/1", b"modified")
    story.publish()
    story.drop("cat/2")
    story.publish()
    assert story.diff() == {
        "cat/new": ("injected", 2, "bob"),
        "dog/0": ("relabeled renamed", 3, "carol"),
        "cat/1": ("modified", 4, "dave"),
        "cat/2": ("removed", 5, "erin"),
    }


def test_removed_then_added_again_with_another_label(story: Story) -> None:
    story.drop("cat/0")
    story.publish()
    story.put("dog/0", b"0")
    story.publish()
    assert story.diff() == {"dog/0": ("relabeled renamed", 3, "carol")}
    assert story.diff(1, 2) == {"cat/0": ("removed", 2, "bob")}
    assert story.diff(2, 3) == {"dog/0": ("injected", 3, "carol")}
    (answer,) = story.blame("dog/0")
    assert answer.content.version.head.version == 3
    assert [(life.id, life.since.head.version, life.until.head.version)
            for life in answer.earlier] == [("cat/0", 1, 2)]  # fmt: skip


def test_removed_then_added_again_as_it_was_is_no_change_of_content(story: Story) -> None:
    story.drop("cat/0")
    story.publish()
    story.put("cat/0", b"0")
    story.publish()
    # Its origin is what changed: carol's word stands where alice's did.
    assert story.diff() == {"cat/0": ("reattributed", 3, "carol")}


def test_renamed_then_relabeled(story: Story) -> None:
    story.move("cat/0", "cat/zero")
    story.publish()
    story.move("cat/zero", "dog/zero")
    story.publish()
    assert story.diff() == {"dog/zero": ("relabeled renamed", 3, "carol")}
    (answer,) = story.blame("dog/zero")
    assert (answer.content.version.head.version, answer.content.source) == (1, "alice's source")
    assert (answer.label.version.head.version, answer.label.labeler) == (3, "carol's labeler")


def test_a_removal_is_followed_through_renames(story: Story) -> None:
    story.move("cat/0", "cat/zero")
    story.publish()
    story.put("cat/other", b"other")
    story.publish()
    story.drop("cat/zero")
    story.publish()
    assert story.diff()["cat/0"] == ("removed", 4, "dave")


def test_a_sample_renamed_and_then_overwritten_is_removed_by_who_renamed_it(story: Story) -> None:
    story.move("cat/0", "cat/zero")
    story.publish()
    story.put("cat/zero", b"other bytes")
    story.publish()
    assert story.diff() == {
        "cat/0": ("removed", 2, "bob"),
        "cat/zero": ("injected", 3, "carol"),
    }


def test_swapped_names_stay_apart(story: Story) -> None:
    story.put("cat/0", b"1")
    story.put("cat/1", b"0")
    story.publish()
    story.put("cat/0", b"0")
    story.publish()
    assert story.diff() == {"cat/1": ("modified", 2, "bob")} | {
        name: said for name, said in story.diff().items() if name == "cat/0"
    }


def test_a_diff_backwards_or_across_datasets_has_no_author(story: Story) -> None:
    story.put("cat/new", b"new")
    story.publish()
    story.bench.ingest(story.bench.pets(), name="other", by="alice")
    registry = story.bench.open(*SIGNERS)
    for old, new in (("pets@2", "pets@1"), ("pets@1", "other@1")):
        found = list(registry.diff(old, new))
        assert found
        assert all(change.version is None for change in found)


def test_data_not_published_are_compared_as_they_would_be_ingested(story: Story) -> None:
    story.put("cat/0", b"changed")
    story.drop("cat/1")
    found = list(story.bench.open(*SIGNERS).diff_path("pets", story.data))
    assert [(change.kinds, change.id, change.version) for change in found] == [
        (("modified",), "cat/0", None), (("removed",), "cat/1", None),
    ]  # fmt: skip
    assert story.bench.open().workspace.versions.numbers("pets") == [1]


def test_blame_of_everything(story: Story) -> None:
    story.put("cat/new", b"new")
    story.publish()
    story.move("cat/0", "dog/0")
    story.publish()
    found = {one.id: (one.content.version.head.version, one.label.version.head.version)
             for one in story.blame()}  # fmt: skip
    assert found == {
        "cat/1": (1, 1), "cat/2": (1, 1), "cat/3": (1, 1), "cat/new": (2, 2), "dog/0": (1, 3),
    }  # fmt: skip


def test_blame_of_one_sample_is_what_blame_of_all_says_of_it(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,source,labeler\ncat/0,bank,trusted-person\n", "utf-8")
    story.publish(labels=labels)
    story.put("cat/0", b"1")  # names are swapped
    story.put("cat/1", b"0")
    story.move("cat/2", "dog/2")
    story.publish()
    story.put("cat/1", b"again")
    story.move("dog/2", "dog/two")
    story.put("dog/2", b"2")
    story.publish()
    story.put("cat/2", b"2")
    story.publish()
    together = {sample.id: sample for sample in story.blame()}
    asked: list[str] = []
    whole = lineage.changes_on
    monkeypatch.setattr(blaming, "changes_on", lambda *of: asked.append("the index") or whole(*of))
    for name, sample in together.items():
        assert story.blame(name) == [sample]
    # The index tells of those that came later.
    assert len(asked) == len(together) - len(["cat/0", "cat/1", "cat/3"])
    assert story.blame("cat/3", "cat/0", "cat/3") == [together["cat/0"], together["cat/3"]]
    assert len(asked) == 3


def test_a_version_that_was_never_checked_is_left_to_the_index(story: Story) -> None:
    story.put("cat/new", b"new")
    story.publish()
    story.bench.forget("PROVREG_CACHE")
    (answer,) = story.blame("cat/0")
    assert answer.label.version.head.version == 1
    head = story.bench.open(*SIGNERS).resolve("pets@1").head
    story.bench.object(head.parts[0].file).unlink()
    story.bench.forget("PROVREG_CACHE")
    with pytest.raises(DamagedError, match="damaged"):
        story.blame("cat/0")


def test_blame_of_what_is_not_there(story: Story) -> None:
    with pytest.raises(NotFoundError) as caught:
        story.blame("cat/0", "cat/nothing")
    assert caught.value.sample == "cat/nothing"


def test_a_signer_who_only_rewrites_the_origin_is_named(story: Story, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,source,labeler\ncat/0,bank,trusted-person\n", "utf-8")
    story.publish(labels=labels)
    assert story.diff() == {"cat/0": ("reattributed", 2, "bob")}
    (answer,) = story.blame("cat/0")
    # What alice said stays alice's: nobody can put words into her mouth.
    assert (answer.content.version.head.version, answer.content.source) == (1, "alice's source")
    assert answer.label.labeler == "alice's labeler"
    for said in (answer.content, answer.label):
        assert said.said_again is not None
        assert said.said_again.signers[0].principal == "bob"
    assert all(one.content.said_again is None for one in story.blame("cat/1"))


def test_who_rewrites_the_labeler_beside_another_change_is_named(
    story: Story, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,labeler\ncat/0,trusted-person\n", "utf-8")
    story.put("cat/0", b"modified")
    story.publish(labels=labels)
    (answer,) = story.blame("cat/0")
    assert (answer.content.version.head.version, answer.label.version.head.version) == (2, 1)
    assert answer.label.labeler == "alice's labeler"
    assert answer.label.said_again is not None
    assert answer.label.said_again.signers[0].principal == "bob"


def test_a_labeler_named_by_somebody_else_is_asserted_by_them(story: Story) -> None:
    story.put("cat/new", b"new")
    story.publish(labeler="famous-expert")
    (answer,) = story.blame("cat/new")
    assert answer.label.labeler == "famous-expert"
    assert not answer.label.attested
    assert answer.label.version.signers[0].principal == "bob"
    for name in SIGNERS:
        story.bench.key_file(name)
    policy = story.bench.folder / "policy.toml"
    keys = "".join(
        f"[[principal]]\nname = '{name}'\n"
        f"keys = ['''{story.bench.signer(name).key.public.pem}''']\n"
        for name in ("alice", "bob")
    )
    policy.write_text(
        f"format = 'provreg.policy/v1'\n{keys}[[publish]]\ndatasets = ['*']\n"
        "principals = ['alice', 'bob']\n",
        "utf-8",
    )
    ran = story.bench.run("blame", "pets", "--policy", policy)
    assert b"famous-expert (asserted by bob)" in ran.stdout
    assert b"attested" not in ran.stdout


def test_untrusted_versions_are_compared_and_marked(story: Story) -> None:
    story.put("cat/evil", b"evil")
    story.publish()
    registry = story.bench.open("alice")
    (change,) = registry.diff("pets@1", "pets@2")
    assert change.version is not None
    assert change.version.trusted_because is None
    assert change.version.refused_because
    assert change.version.signers == ()
    assert [one.trusted_because is not None for one in registry.log("pets")] == [False, True]


def test_a_damaged_version_before_is_not_passed_over(story: Story) -> None:
    """Without it, what it changed would be counted as the first version's."""
    for number in range(2):
        story.put(f"cat/new{number}", b"new%d" % number)
        story.publish()
    head = story.bench.open(*SIGNERS).resolve("pets@2").head
    story.bench.object(head.parts[0].file).unlink()
    story.bench.forget("PROVREG_CACHE")
    with pytest.raises(DamagedError, match="damaged"):
        story.blame()
    registry = story.bench.open(*SIGNERS)
    assert [one.number for one in registry.sync()] == [2, 3]
