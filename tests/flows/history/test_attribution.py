"""Diff, blame and lineage: every change has the right version and the right name beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.errors import DamagedError, NotFoundError, UsageError
from provreg.flows.history import blame as blaming
from provreg.flows.verify import lineage

if TYPE_CHECKING:
    from provreg.flows.history.blame import SampleBlame
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

    def hands(self, old: int = 1, new: int | None = None) -> dict[str, dict[str, int | None]]:
        """The version of each part of each change, by id."""
        registry = self.bench.open(*SIGNERS)
        found = registry.diff(f"pets@{old}", f"pets@{new or self.versions}")
        return {
            change.id: {
                part: None if hand.version is None else hand.version.head.version
                for part, hand in change.attributions.items()
            }
            for change in found
        }

    def diff(self, old: int = 1, new: int | None = None) -> dict[str, tuple[str, int, str]]:
        """(kinds, version, signer) of each change that one version made all of, by id."""
        registry = self.bench.open(*SIGNERS)
        found = registry.diff(f"pets@{old}", f"pets@{new or self.versions}")
        made = {}
        for change in found:
            versions = {hand.version.digest: hand.version for hand in change.attributions.values()
                        if hand.version is not None}  # fmt: skip
            if len(versions) == 1:
                [version] = versions.values()
                made[change.id] = (
                    " ".join(change.kinds), version.head.version, version.signers[0].principal
                )  # fmt: skip
        return made

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
    # Its id changes with its label: both are carol's, who renamed it last.
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
    # Under the new id the label is what bob made of it, and the bytes are carol's.
    assert story.hands() == {"cat/0": {"content": 2}, "cat/zero": {"content": 3, "label": 2}}


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
        assert all(hand.version is None for one in found for hand in one.attributions.values())


def test_data_not_published_are_compared_as_they_would_be_ingested(story: Story) -> None:
    story.put("cat/0", b"changed")
    story.drop("cat/1")
    found = list(story.bench.open(*SIGNERS).diff_path("pets", story.data))
    made = [
        (one.kinds, one.id, [hand.version for hand in one.attributions.values()]) for one in found
    ]
    assert made == [(("modified",), "cat/0", [None]), (("removed",), "cat/1", [None])]
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
        assert said.restated_in is not None
        assert said.restated_in.signers[0].principal == "bob"
    assert all(one.content.restated_in is None for one in story.blame("cat/1"))


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
    assert answer.label.restated_in is not None
    assert answer.label.restated_in.signers[0].principal == "bob"


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
    version = change.attributions["content"].version
    assert version is not None
    assert version.trusted_because is None
    assert version.refused_because
    assert version.signers == ()
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


def labels(story: Story, *rows: str) -> Path:
    return story.bench.write("labels", {"l.csv": "\n".join(["id,label", *rows, ""])}) / "l.csv"


def test_bytes_by_one_and_the_label_by_another_are_two_attributions(story: Story) -> None:
    story.put("cat/0", b"changed")
    story.publish()
    story.publish(labels=labels(story, "cat/0,dog"))
    assert story.hands() == {"cat/0": {"content": 2, "label": 3}}
    (change,) = story.bench.open(*SIGNERS).diff("pets@1", "pets@3")
    content, label = change.attributions["content"], change.attributions["label"]
    assert (content.source, label.labeler) == ("bob's source", "carol's labeler")
    assert content.labeler == "alice's labeler"  # as bob's version has it
    shown = story.bench.run("diff", "pets@1", "pets@3", "--key", story.bench.key_file("carol"))
    assert b"content: the key sha256:" in shown.stdout
    assert b"not verified (UNTRUSTED) in @2" in shown.stdout


def test_every_part_of_a_change_has_its_own_version(story: Story, tmp_path: Path) -> None:
    story.move("cat/0", "cat/zero")
    story.publish()
    story.publish(labels=labels(story, "cat/zero,dog"))
    rows = tmp_path / "l.csv"
    rows.write_text("id,label,split\ncat/zero,dog,test\n", "utf-8")
    story.publish(labels=rows)
    rows.write_text("id,label,source\ncat/zero,dog,s\ncat/1,cat,s\n", "utf-8")
    story.publish(labels=rows)
    assert story.hands() == {
        "cat/zero": {"content": 2, "label": 3, "split": 4}, "cat/1": {"origin": 5},
    }  # fmt: skip


def test_rewriting_the_origin_later_puts_no_words_into_the_mouth_of_who_changed_it(
    story: Story, tmp_path: Path
) -> None:
    story.put("cat/0", b"changed")
    story.publish()
    rows = tmp_path / "l.csv"
    rows.write_text("id,source\ncat/0,somebody-else\n", "utf-8")
    story.publish(labels=rows)
    (change,) = story.bench.open(*SIGNERS).diff("pets@1", "pets@3")
    [content] = change.attributions.values()
    assert (content.version and content.version.head.version, content.source) == (2, "bob's source")
    assert content.restated_in is not None
    assert content.restated_in.head.version == 3


def test_a_change_made_elsewhere_is_not_of_the_version_after_the_old_one(story: Story) -> None:
    """Under the id of one sample there is another, whose own changes are of before."""
    story.put("cat/unrelated", b"x")
    story.publish()
    story.drop("cat/0")
    story.move("cat/1", "cat/0")
    story.publish()
    hands = story.hands()
    assert hands["cat/0"] == {"content": 3}
    assert hands["cat/1"] == {"content": 3}


def test_flips_of_samples_injected_since_are_counted_and_listed(story: Story) -> None:
    """80 of 100 flips were not among those that are `relabeled`, and nothing said so."""
    for number in range(8):
        story.put(f"cat/new{number}", b"new %d" % number)
    story.publish()
    flips = [f"cat/new{number},dog" for number in range(8)] + ["cat/0,dog", "cat/1,dog"]
    story.publish(labels=labels(story, *flips))
    story.publish(labels=labels(story, *flips[:9], "cat/1,cat"))  # one is flipped back
    registry = story.bench.open(*SIGNERS)
    diff = registry.diff("pets@1", "pets@4")
    assert (diff.changes.counts()["injected"], diff.changes.counts()["relabeled"]) == (8, 1)
    assert diff.between is not None
    assert diff.between.injected_since["relabeled"] == 8
    assert (diff.between.counts["injected"], diff.between.counts["relabeled"]) == (8, 11)
    each = list(registry.diff_each("pets@1", "pets@4"))
    assert [one.new_name for one in each] == ["pets@2", "pets@3", "pets@4"]
    assert [len(one) for one in each] == [8, 10, 1]
    for reference in ("pets@1", "pets@2", "pets@3"):
        assert registry.diff(reference, f"pets@{int(reference[-1]) + 1}").between is None
    key = story.bench.key_file("dave")
    words = story.bench.run("diff", "pets@1", "pets@4", "--key", key).stdout.decode()
    assert "of the injected samples, 8 were relabeled later; they count only as injected" in words
    assert "version by version: 8 injected, 11 relabeled" in words
    assert "`provreg diff pets@1 pets@4 --each` lists the changes of each version" in words
    [later] = diff.between.relabeled
    assert (later.samples, later.old, later.new, later.labeler, later.version.head.version) == (
        8, "cat", "dog", "carol's labeler", 3,
    )  # fmt: skip
    assert "8  cat -> dog  carol's labeler" in words
    assert " in @3" in words
    listed = story.bench.run("diff", "pets@1", "pets@4", "--each", "--json", "--key", key)
    document = json.loads(listed.stdout)
    assert len(document["changes"]) == sum(document["between"]["counts"].values()) == 19
    flipped = [one["attributions"]["label"]["version"] for one in document["changes"]
               if one["kinds"] == ["relabeled"]]  # fmt: skip
    assert flipped == [3] * 10 + [4]
    words = story.bench.run("diff", "pets@1", "pets@4", "--each", "--key", key).stdout.decode()
    assert "pets@2 -> pets@3: 10 relabeled" in words


def test_each_is_for_versions_of_one_line(story: Story) -> None:
    story.put("cat/new", b"new")
    story.publish()
    registry = story.bench.open(*SIGNERS)
    with pytest.raises(UsageError, match="does not descend"):
        list(registry.diff_each("pets@2", "pets@1"))
