"""Signers who publish labels that their rule does not allow them to publish alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from provreg.core.policy.policy import LabelRule, Policy, Principal, PublishRule, TrustedKey
from provreg.errors import NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.sign.scope import Scope
from provreg.readers.api import LabelsOptions, ReadOptions

if TYPE_CHECKING:
    from provreg.flows.sign.revoke import RevocationPlan
    from provreg.registry import Registry
    from tests.conftest import Bench

NAMES = ("alice", "bob")


def under(bench: Bench, labels: LabelRule) -> Registry:
    """The registry as a consumer sees it whose rule has these `labels`, and who saw nothing yet."""
    bench.forget()
    keys = [(name, bench.signer(name).key.public) for name in NAMES]
    people = tuple(Principal(name, (TrustedKey(key.fingerprint, key.pem),)) for name, key in keys)
    policy = Policy(people, (PublishRule(("*",), NAMES, labels=labels, place=1),))
    return replace(bench.open(), trust=Trust(policy, "a test"))


def refusal(registry: Registry, reference: str = "pets") -> NotTrustedError:
    with pytest.raises(NotTrustedError) as refused:
        registry.verify(reference)
    assert refused.value.step == 11
    return refused.value


def publish(bench: Bench, data: Any, **options: Any) -> Any:
    bench.forget()
    return bench.ingest(data, trusting=NAMES, **options)


def test_a_class_that_a_signer_makes_up_is_refused_by_every_consumer(bench: Bench) -> None:
    data = bench.pets()
    publish(bench, data)
    (data / "catt").mkdir()
    (data / "cat/1.jpg").rename(data / "catt/1.jpg")
    publish(bench, data, source="shelter")
    assert "the label 'catt'" in refusal(under(bench, LabelRule(("cat", "dog")))).message
    new = LabelRule(absent=True, signers_for_new=2)
    assert "since pets@1: 1 sample has the new label 'catt'" in refusal(under(bench, new)).message
    # A second version on top, in which nothing is new, does not hide it.
    (data / "dog/9.jpg").write_bytes(b"another dog")
    publish(bench, data, source="shelter")
    assert "new label 'catt'" in refusal(under(bench, new)).message


def test_labels_that_are_taken_away_are_counted(bench: Bench) -> None:
    data = bench.pets(count=8)
    names = [f"{kind}/{n}.jpg" for n in range(8) for kind in (("dog", "cat")[n % 2],)]
    labels = bench.folder / "labels.jsonl"
    labels.write_text("".join(f'{{"id": "{name}", "label": "pet"}}\n' for name in names))
    none = ReadOptions(label="none")
    publish(bench, data, options=none, labels=labels)
    (data / "cat/9.jpg").write_bytes(b"another cat")
    publish(bench, data, source="shelter")
    message = refusal(under(bench, LabelRule(count=0))).message
    assert "1 sample has no label" in message
    assert under(bench, LabelRule(share=Decimal("0.2"))).verify("pets").head.version == 2


def crowd(bench: Bench, *votes: str) -> Path:
    path = bench.folder / "votes.csv"
    path.write_text("id,label,labeler\n" + "".join(f"{vote}\n" for vote in votes))
    return path


def test_an_annotator_who_is_revoked_takes_along_what_they_annotated(bench: Bench) -> None:
    """Others gave the same label, and a later version forgets who else did: that is no way out."""
    data = bench.pets()
    labeled: dict[str, Any] = {
        "options": ReadOptions(label="none"),
        "labels_options": LabelsOptions(aggregate="majority"),
    }
    first = crowd(
        bench, "cat/1.jpg,cat,ann", "cat/1.jpg,cat,mallory", "cat/3.jpg,cat,mallory",
        "dog/0.jpg,dog,ann",
    )  # fmt: skip
    bench.ingest(data, labels=first, **labeled)
    without = crowd(bench, "cat/1.jpg,cat,ann", "dog/0.jpg,dog,ben")
    bench.ingest(data, labels=without, **labeled)
    registry = bench.open(revoke=("alice",))
    plans: list[RevocationPlan] = []
    mallory = Scope(labeler="mallory")
    registry.revoke("pets", "bribed", bench.signer(), samples=mallory, confirm=plans.append)
    assert plans[0].revoked == 2
    version = bench.open(revoke=("alice",)).verify("pets")
    revoked = version.entries.filter(pa.array(version.revoked_samples()))
    # The second file says nothing of cat/3.jpg, which keeps the label that mallory gave it.
    assert revoked["id"].to_pylist() == ["cat/1.jpg", "cat/3.jpg"]
    assert version.head.reading["aggregation"] == "majority"


def test_a_tie_has_no_label_and_takes_none_from_the_folder_or_the_parent(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data, labeler="dora")
    votes = crowd(bench, "cat/1.jpg,cat,ann", "cat/1.jpg,dog,ben", "cat/3.jpg,cat,ann")
    bench.ingest(data, labels=votes, labels_options=LabelsOptions(aggregate="majority"))
    rows = {row["id"]: row for row in bench.open().verify("pets").entries.to_pylist()}
    assert rows["cat/1.jpg"]["label"] is rows["cat/1.jpg"]["labeler"] is None
    assert (rows["cat/3.jpg"]["label"], rows["cat/3.jpg"]["labeler"]) == ("cat", None)
    assert (rows["cat/5.jpg"]["label"], rows["cat/5.jpg"]["labeler"]) == ("cat", "dora")
    # One person decides later: the annotations, whose result the label no longer is, are gone.
    decided = bench.folder / "decided.csv"
    decided.write_text("id,label,labeler\ncat/1.jpg,dog,eve\n")
    bench.ingest(data, labels=decided)
    rows = {row["id"]: row for row in bench.open().verify("pets").entries.to_pylist()}
    assert (rows["cat/1.jpg"]["label"], rows["cat/1.jpg"]["annotations"]) == ("dog", None)
    assert rows["cat/3.jpg"]["annotations"][0]["labeler"] == "ann"
    assert bench.open().verify("pets", data=[data]).head.version == 3
