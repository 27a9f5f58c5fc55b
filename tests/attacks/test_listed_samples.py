"""Attacks on revocations that list samples, or name a source and a labeler together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import Bench
from tabular import Row, ingest_rows

from provreg.errors import NotFoundError, NotTrustedError, UsageError
from provreg.flows.sign.revoke import RevocationPlan
from provreg.flows.sign.scope import Scope
from provreg.registry import Registry


def rows() -> list[Row]:
    return [
        {"id": f"s{number}", "text": f"text {number}", "label": "cat", "source": "shop",
         "labeler": "ann"}
        for number in range(6)
    ]  # fmt: skip


def consumer(bench: Bench) -> Registry:
    return bench.open(revoke=("chief",))


def revoke(bench: Bench, reference: str = "pets", **scope: Any) -> RevocationPlan:
    plans: list[RevocationPlan] = []
    consumer(bench).revoke(
        reference, "poison", bench.signer("chief"), samples=Scope(**scope), confirm=plans.append
    )
    return plans[0]


def revoked(bench: Bench, reference: str = "pets") -> list[str]:
    version = consumer(bench).verify(reference)
    mask = version.revoked_samples()
    ids = version.entries.column("id").to_pylist()
    return [name for name, gone in zip(ids, mask, strict=True) if gone]


def test_listed_ids_are_revoked_in_every_version_that_has_them_so(bench: Bench) -> None:
    ingest_rows(bench, rows()[:4])
    ingest_rows(bench, rows())
    ingest_rows(bench, rows()[1:])
    plan = revoke(bench, "pets@2", ids=("s0", "s5"))
    assert plan.revoked == 2
    assert plan.earlier == ((1, 1),)
    assert revoked(bench, "pets@1") == ["s0"]
    assert revoked(bench, "pets@2") == ["s0", "s5"]
    assert revoked(bench) == ["s5"]


def test_attack_copies_of_honest_bytes_do_not_take_the_honest_ones_along(bench: Bench) -> None:
    """Who floods with copies must not have the originals revoked with them."""
    ingest_rows(bench, rows())
    copies = [row | {"id": f"copy/{row['id']}", "source": "vendor"} for row in rows()]
    ingest_rows(bench, [*rows(), *copies], by="alice")
    revoke(bench, source="vendor", until_version=2)
    assert revoked(bench) == [f"copy/s{number}" for number in range(6)]


def test_attack_a_listed_sample_is_renamed(bench: Bench) -> None:
    ingest_rows(bench, rows())
    revoke(bench, ids=("s1",))
    changed = rows()
    changed[1]["id"] = "washed"
    ingest_rows(bench, changed)
    assert revoked(bench) == ["washed"]
    changed[1]["id"], changed[2]["id"] = changed[2]["id"], changed[1]["id"]
    ingest_rows(bench, changed)
    assert revoked(bench) == ["s2"]


def test_attack_a_listed_sample_gets_another_source_labeler_and_label(bench: Bench) -> None:
    ingest_rows(bench, rows())
    revoke(bench, ids=("s1",))
    changed = rows()
    changed[1] |= {"source": "other", "labeler": "ben", "label": "dog"}
    ingest_rows(bench, changed)
    assert revoked(bench) == ["s1"]
    changed[1]["text"] = "new bytes"
    ingest_rows(bench, changed)
    assert revoked(bench) == []


def test_labels_only_ends_with_another_label(bench: Bench) -> None:
    ingest_rows(bench, rows())
    revoke(bench, ids=("s1", "s2"), labels_only=True)
    changed = rows()
    changed[1]["label"] = "dog"
    changed[2]["labeler"] = "ben"
    ingest_rows(bench, changed)
    assert revoked(bench, "pets@1") == ["s1", "s2"]
    assert revoked(bench) == ["s2"]


def test_one_labeler_of_two_vendors(bench: Bench) -> None:
    """Vendor A's ann is not vendor B's."""
    first = rows()
    for row in first[3:]:
        row["source"] = "vendor-b"
    ingest_rows(bench, first)
    plan = revoke(bench, source="vendor-b", labeler="ann")
    assert plan.revoked == 3
    assert plan.revocation.what == "pets: samples from vendor-b and labeled by ann"
    assert revoked(bench) == ["s3", "s4", "s5"]
    first.append(rows()[0] | {"id": "later", "text": "later", "source": "vendor-b"})
    ingest_rows(bench, first)
    assert revoked(bench) == ["later", "s3", "s4", "s5"]


def test_attack_one_of_two_names_is_rewritten(bench: Bench) -> None:
    first = rows()
    for row in first[3:]:
        row["source"] = "vendor-b"
    ingest_rows(bench, first)
    for row in first[3:]:
        row |= {"source": "vendor-c", "labeler": "zoe"}
    ingest_rows(bench, first)
    revoke(bench, source="vendor-b", labeler="ann")
    assert revoked(bench) == ["s3", "s4", "s5"]
    for row in first[3:]:
        row["label"] = "dog"  # another label is another claim
    ingest_rows(bench, first)
    assert revoked(bench) == []


def test_two_names_since_a_version_keep_what_stood(bench: Bench) -> None:
    ingest_rows(bench, rows()[:3])
    ingest_rows(bench, rows())
    revoke(bench, source="shop", labeler="ann", since_version=2)
    assert revoked(bench) == ["s3", "s4", "s5"]
    assert revoked(bench, "pets@1") == []


def test_versions_bound_what_is_listed(bench: Bench) -> None:
    for count in (2, 4, 6):
        ingest_rows(bench, rows()[:count])
    revoke(bench, labeler="ann", since_version=2, until_version=2)
    assert revoked(bench) == ["s2", "s3"]


def test_what_a_principal_signed(bench: Bench) -> None:
    """Samples that they brought by their bytes, samples that they relabeled by that label."""
    ingest_rows(bench, rows()[:4])
    changed = rows()
    changed[0]["label"] = "dog"
    registry = bench.open("alice", "mallory")
    path = bench.folder / "data" / "rows.csv"
    ingest_rows(bench, changed, by="mallory", trusting=("alice",))
    assert path.exists()
    assert len(registry.verify("pets").entries) == 6
    fingerprint = bench.signer("mallory").key.public.fingerprint
    plan = bench.open("alice", "mallory", revoke=("chief",)).plan_revocation(
        "pets", "key stolen", samples=Scope(principal=fingerprint)
    )
    named = bench.open("alice", "mallory", revoke=("chief",)).plan_revocation(
        "pets", "key stolen", samples=Scope(principal="mallory")
    )
    assert named.revocation.samples == plan.revocation.samples
    assert plan.revoked == 3
    assert plan.revocation.what == f"pets: 3 listed samples (principal {fingerprint})"
    assert consumer(bench).workspace.revocations.numbers() == []


def test_times_exclude_only_what_is_proven(bench: Bench) -> None:
    """A version without a proven time is inside, whatever its head claims."""
    ingest_rows(bench, rows())
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    plan = revoke(bench, labeler="ann", until=long_ago)
    assert plan.revoked == 6


def test_attack_the_list_is_taken_away(bench: Bench) -> None:
    ingest_rows(bench, rows())
    plan = revoke(bench, ids=("s1",))
    ((digest, data),) = plan.lists.items()
    bench.object(digest).unlink()
    with pytest.raises(NotTrustedError, match="a list of revoked samples cannot be read") as caught:
        revoked(bench)
    assert caught.value.step == 8
    problems = [(problem.where, problem.what) for problem in consumer(bench).check()]
    assert [where for where, what in problems if "a list of revoked" in what] == ["revocation 1"]
    bench.object(digest).write_bytes(data)
    assert revoked(bench) == ["s1"]


@pytest.mark.parametrize("change", ["shorter", "unsorted", "other"])
def test_attack_the_list_is_exchanged(bench: Bench, change: str) -> None:
    ingest_rows(bench, rows())
    plan = revoke(bench, ids=("s1", "s2"))
    ((digest, data),) = plan.lists.items()
    changed = {"shorter": data[:32], "unsorted": data[32:] + data[:32], "other": bytes(64)}[change]
    bench.overwrite(bench.object(digest), changed)
    with pytest.raises(NotTrustedError, match="a list of revoked samples cannot be read"):
        revoked(bench)


def test_attack_a_source_has_the_name_of_a_list(bench: Bench) -> None:
    """A name that is a digest is not taken for that list, in memory or in the cache."""
    ingest_rows(bench, rows())
    plan = revoke(bench, ids=("s1",))
    (digest,) = plan.lists
    changed = rows()
    changed[4]["source"] = digest
    ingest_rows(bench, changed)
    revoke(bench, source=digest)
    assert revoked(bench) == ["s1", "s4"]
    assert revoked(bench) == ["s1", "s4"]
    changed[4]["source"] = "another"
    changed[1]["source"] = "another"
    ingest_rows(bench, changed)
    assert revoked(bench) == ["s1", "s4"]


def test_attack_what_is_remembered_of_a_name_is_not_taken_for_that_of_a_list(bench: Bench) -> None:
    """Nobody had a source of that name: that says nothing of who is on the list."""
    ingest_rows(bench, rows())
    listed = Scope(ids=("s1",))
    (digest,) = consumer(bench).plan_revocation("pets@1", "poison", samples=listed).lists
    changed = rows()
    changed[1]["id"] = "washed"
    ingest_rows(bench, changed)
    revoke(bench, source=digest)
    assert revoked(bench) == []
    revoke(bench, "pets@1", ids=("s1",))
    assert revoked(bench) == ["washed"]


def test_an_id_that_is_not_there_revokes_nothing(bench: Bench) -> None:
    ingest_rows(bench, rows())
    with pytest.raises(NotFoundError, match="has no sample 's9'"):
        revoke(bench, ids=("s1", "s9"))
    with pytest.raises(NotFoundError, match="no sample that is meant: labeler zoe, until version"):
        revoke(bench, labeler="zoe", until_version=1)
    with pytest.raises(UsageError, match="versions 3 to 2 are none"):
        revoke(bench, labeler="ann", since_version=3, until_version=2)
    assert consumer(bench).workspace.revocations.numbers() == []


def test_what_is_listed_twice_is_revoked_once(bench: Bench) -> None:
    ingest_rows(bench, rows())
    registry, chief = consumer(bench), bench.signer("chief")
    scope = Scope(ids=("s1", "s2"))
    first = registry.revoke("pets", "poison", chief, samples=scope)
    again = registry.revoke("pets", "other words", chief, samples=Scope(ids=("s2", "s1")))
    assert (first.added, again.added) == (True, False)
    assert registry.workspace.revocations.numbers() == [1]


def test_a_plan_writes_nothing(bench: Bench) -> None:
    ingest_rows(bench, rows())
    before = {path for path in bench.registry.rglob("*") if path.is_file()}
    plan = consumer(bench).plan_revocation("pets", "poison", samples=Scope(ids=("s1",)))
    assert plan.revoked == 1
    assert {path for path in bench.registry.rglob("*") if path.is_file()} == before
