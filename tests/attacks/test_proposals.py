"""Who would have published what the policy does not trust, or a proposal taken for a version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import provreg
from provreg.core.policy.policy import Limit, Policy, PublishRule
from provreg.errors import NotFoundError, NotTrustedError, RevokedError, UsageError
from provreg.flows.ingest.request import Ingestion
from provreg.flows.session.trust import Trust
from provreg.store.registry.versions import MAX_PROPOSALS, Versions

if TYPE_CHECKING:
    from pathlib import Path

    from provreg.flows.ingest.publish import Outcome
    from provreg.registry import Registry
    from tests.conftest import Bench


def two(bench: Bench, **more: Any) -> Registry:
    """The registry as who asks for both alice's and bob's signature sees it."""
    return bench.open("alice", "bob", threshold=2, **more)


def ingest(bench: Bench, data: Path, *, by: str = "alice", **more: Any) -> Outcome:
    """Under the policy of `two`."""
    propose = more.pop("propose", False)
    ingestion = Ingestion("pets", (data,), source="shelter", propose=propose, **more)
    return two(bench).ingest(ingestion, bench.signer(by))


def propose(bench: Bench, data: Path, *, by: str = "alice", **more: Any) -> str:
    """The reference of a new proposal."""
    outcome = ingest(bench, data, by=by, propose=True, **more)
    assert outcome.head is None
    assert outcome.proposed is not None
    return f"pets@{outcome.proposed.digest}"


def sign(bench: Bench, reference: str, *, by: str = "bob", **more: Any) -> Any:
    registry = two(bench)
    return registry.countersign(registry.review(reference, **more), bench.signer(by), **more)


def published(bench: Bench, data: Path, **more: Any) -> str:
    """Proposed by alice, completed by bob."""
    reference = propose(bench, data, **more)
    assert sign(bench, reference).published
    return reference


def test_proposal_that_was_not_taken_is_revoked_before_it_takes_the_place_of_the_version(
    bench: Bench,
) -> None:
    """Its signature is one on a version: whoever trusts its signer alone would trust it."""
    for first in (True, False):
        rejected = propose(bench, bench.pets("poison", count=4 if first else 20))
        taken = published(bench, bench.pets("good", count=7 if first else 9))
        number = 1 if first else 2
        assert bench.open("alice").verify(f"pets@{number}").digest == taken.partition("@")[2]
        roles = {"revoke": ("chief",)}
        bench.open("alice", **roles).revoke(rejected, "poison", bench.signer("chief"))
        record = bench.record(number).read_bytes()
        bench.point(number, rejected.partition("@")[2])
        bench.forget()
        with pytest.raises(RevokedError, match="poison"):
            bench.open("alice", **roles).verify(f"pets@{number}")
        bench.overwrite(bench.record(number), record)


def states(registry: Registry) -> list[tuple[int, str]]:
    return [(one.waiting.number, one.state) for one in registry.proposals()]


# What is not published by accident


@pytest.mark.parametrize("first", [True, False])
def test_version_with_too_few_signatures_is_not_published_by_accident(
    bench: Bench, first: bool
) -> None:
    if not first:
        published(bench, bench.pets())
    before = bench.files()
    with pytest.raises(NotTrustedError, match="is not published") as caught:
        ingest(bench, bench.pets(count=9))
    assert caught.value.step == 7
    assert "needs a signature by 1 of: bob" in caught.value.hint
    assert "--propose" in caught.value.hint
    assert bench.files() == before


def test_version_of_whom_the_policy_lets_not_publish_is_not_published_by_accident(
    bench: Bench,
) -> None:
    data = bench.pets()
    bench.ingest(data)
    before = bench.files()
    bench.write("pets", {"cat/new.jpg": b"new"})
    registry, ingestion = bench.open("alice"), Ingestion("pets", (data,), source="shelter")
    with pytest.raises(NotTrustedError, match="is not published"):
        registry.ingest(ingestion, bench.signer("mallory"))
    # A principal whom no publish rule names is one of the policy, and may not publish either.
    known = bench.open("alice", revoke=("chief",))
    with pytest.raises(NotTrustedError, match="is not published") as caught:
        known.ingest(ingestion, bench.signer("chief"))
    assert caught.value.step == 6
    assert bench.files() == before


def limited(bench: Bench, **more: Any) -> Registry:
    """One signature is enough, unless more than one sample is injected: then it is two."""
    trust = bench.trust("alice", "bob")
    limit = Limit(("injected",), count=1, unless=2)
    rule = PublishRule(("*",), ("alice", "bob"), limits=(limit,), place=1, **more)
    return replace(bench.open(), trust=Trust(Policy(trust.policy.principals, (rule,)), "a test"))


def test_version_over_a_limit_is_not_published_by_accident(bench: Bench) -> None:
    signer = bench.signer("alice")
    limited(bench).ingest(Ingestion("pets", (bench.pets(),), source="shelter"), signer)
    before = bench.files()
    more = Ingestion("pets", (bench.pets(count=8),), source="shelter")
    with pytest.raises(NotTrustedError, match="2 samples are injected") as caught:
        limited(bench).ingest(more, signer)
    assert caught.value.step == 11
    assert bench.files() == before
    outcome = limited(bench).ingest(replace(more, propose=True), signer)
    assert outcome.proposed is not None
    registry = limited(bench)
    made = registry.countersign(
        registry.review(f"pets@{outcome.proposed.digest}"), bench.signer("bob")
    )
    assert made.published
    assert limited(bench).verify("pets").head.version == 2


def test_below_minimum_version_nothing_is_published_by_accident(bench: Bench) -> None:
    registry = limited(bench, minimum_version=2)
    with pytest.raises(NotTrustedError, match="from version 2 on") as caught:
        registry.ingest(Ingestion("pets", (bench.pets(),), source="s"), bench.signer("alice"))
    assert caught.value.step == 6


def test_what_the_policy_takes_is_published_whether_or_not_it_may_be_proposed(
    bench: Bench,
) -> None:
    assert bench.ingest(bench.pets(), propose=True).head is not None
    assert bench.open().proposals() == []


@pytest.mark.parametrize("by", ["alice", "mallory", "chief"])
def test_dry_run_says_what_the_policy_would_say_of_the_signer(bench: Bench, by: str) -> None:
    ingestion = Ingestion("pets", (bench.pets(),), source="shelter")
    before = bench.files()
    registry = two(bench, revoke=("chief",))
    foreseen = registry.dry_run(ingestion, bench.signer(by))
    with pytest.raises(NotTrustedError) as caught:
        registry.ingest(ingestion, bench.signer(by))
    assert foreseen.lacks is not None
    if by != "mallory":  # of whom signing says more: no key of the policy
        assert foreseen.lacks.message in caught.value.message
        assert foreseen.lacks.step == caught.value.step
    assert bench.open().dry_run(ingestion, bench.signer()).lacks is None
    assert bench.files() == before


# A proposal is no version


def test_proposal_is_no_version_for_anybody_who_asks_for_one(bench: Bench) -> None:
    published(bench, bench.pets())
    data = bench.pets(count=9)
    reference = propose(bench, data)
    registry, key = two(bench), bench.key_file()
    assert registry.verify("pets").head.version == 1
    assert registry.resolve("pets@latest").head.version == 1
    assert [one.head.version for one in registry.log("pets")] == [1]
    assert [one.head.version for one in registry.ls()] == [1]
    with pytest.raises(NotFoundError):
        registry.verify("pets@2")
    for trusting in (registry, bench.open(), bench.open("bob")):
        with pytest.raises(NotTrustedError) as caught:
            trusting.verify(reference, data=[data] if trusting is registry else [])
        assert caught.value.step in {3, 5}
    with pytest.raises(NotTrustedError, match="is a proposal of pets@2") as caught:
        provreg.load(reference, data=data, registry=bench.registry, key=key)
    assert caught.value.step == 5
    registry = bench.open("alice", attest=("alice",), mandatory=False)
    signed = registry.sign_latest("pets", bench.signer("alice"), valid=timedelta_of_a_day())
    assert signed.latest.version == 1
    pinned = bench.run("pin", reference, "--key", key)
    assert pinned.returncode == 4
    assert not (bench.folder / "provreg.lock").exists()


def timedelta_of_a_day() -> Any:
    from datetime import timedelta

    return timedelta(days=1)


def test_proposal_of_a_first_version_is_no_dataset(bench: Bench) -> None:
    data = bench.pets()
    reference = propose(bench, data)
    registry = two(bench)
    assert registry.ls() == []
    with pytest.raises(NotFoundError, match="only proposals"):
        registry.verify("pets")
    with pytest.raises(NotTrustedError, match="signed by 1 of 2"):
        registry.verify(reference)
    assert sign(bench, reference).published
    assert two(bench).verify("pets", data=[data]).head.version == 1


def test_verify_says_what_a_proposal_lacks_and_checks_its_data(bench: Bench) -> None:
    published(bench, bench.pets())
    data = bench.pets(count=9)
    reference = propose(bench, data)
    steps: list[Any] = []
    with pytest.raises(NotTrustedError) as caught:
        two(bench).verify(reference, data=[data], on_step=steps.append)
    assert "no version (waiting): signed by 1 of 2 needed" in caught.value.message
    assert caught.value.hint == "needs a signature by 1 of: bob"
    assert {step.number for step in steps if step.ok} >= {10, 11, 12}
    (data / "cat/1.jpg").write_bytes(b"poison")
    with pytest.raises(NotTrustedError) as caught:
        two(bench).verify(reference, data=[data])
    assert caught.value.step == 12
    assert [finding.kind for finding in caught.value.findings] == ["changed"]


def test_whoever_completes_a_proposal_publishes_it_and_nobody_before(bench: Bench) -> None:
    reference = propose(bench, bench.pets())
    # Neither the same principal again, nor a stranger, completes it.
    assert not sign(bench, reference, by="alice").published
    made = sign(bench, reference, by="mallory")
    assert (made.published, made.proposal.state) == (False, "waiting")
    assert states(two(bench)) == [(1, "waiting")]
    assert sign(bench, reference).published
    assert states(two(bench)) == []
    assert two(bench).verify("pets").digest == reference.partition("@")[2]
    # As a version it takes further signatures as before.
    assert not sign(bench, "pets", by="carol").published


# Stale ones


def test_proposal_whose_parent_moved_on_is_stale_and_proposed_again_by_one_command(
    bench: Bench,
) -> None:
    published(bench, bench.pets())
    data, other = bench.pets("one", count=9), bench.pets("other", count=8)
    reference = propose(bench, data, append=True)
    published(bench, other)
    registry = two(bench)
    assert states(registry) == [(2, "stale")]
    with pytest.raises(NotTrustedError, match="is stale") as caught:
        registry.review(reference)
    assert "--propose" in caught.value.hint
    assert sign(bench, propose(bench, data, append=True)).published
    assert two(bench).verify("pets").head.version == 3


@pytest.mark.parametrize("garbage", [b"", b"{}", b'{"head":"x"}'])
@pytest.mark.parametrize("number", [2, 5])
def test_proposal_whose_number_is_squatted_is_stale_and_proposed_again_by_one_command(
    bench: Bench, garbage: bytes, number: int
) -> None:
    published(bench, bench.pets())
    data = bench.pets(count=9)
    reference = propose(bench, data)
    bench.overwrite(bench.record(number), garbage)
    assert (2, "stale") in states(two(bench))
    with pytest.raises(NotTrustedError, match="is stale"):
        two(bench).review(reference)
    again = propose(bench, data)
    assert sign(bench, again).published
    assert two(bench).verify("pets").head.version == number + 1


def test_number_taken_between_review_and_claim_publishes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(bench, bench.pets())
    reference = propose(bench, bench.pets(count=9))
    claim = Versions.claim

    def late(self: Versions, dataset: str, number: int, head: str) -> bool:
        bench.overwrite(bench.record(number), b"{}")
        return claim(self, dataset, number, head)

    monkeypatch.setattr(Versions, "claim", late)
    with pytest.raises(NotTrustedError, match="is stale"):
        sign(bench, reference)
    monkeypatch.undo()
    assert states(two(bench)) == [(2, "stale")]
    with pytest.raises(NotTrustedError):
        two(bench).verify(reference)


def test_proposal_upon_a_version_that_was_revoked_since_is_not_completed_by_accident(
    bench: Bench,
) -> None:
    published(bench, bench.pets())
    reference = propose(bench, bench.pets(count=9))
    trust = bench.trust("alice", "bob", threshold=2, revoke=("chief",))
    registry = replace(two(bench), trust=trust)
    registry.revoke("pets@1", "poison", bench.signer("chief"))
    with pytest.raises(NotTrustedError, match="is stale"):
        registry.review(reference)
    reviewed = registry.review(reference, after_revoked=True)
    made = registry.countersign(reviewed, bench.signer("bob"), after_revoked=True)
    assert made.published


def test_revoked_proposal_is_completed_by_nobody(bench: Bench) -> None:
    reference = propose(bench, bench.pets())
    trust = bench.trust("alice", "bob", threshold=2, revoke=("chief",))
    registry = replace(two(bench), trust=trust)
    registry.revoke(reference, "poison", bench.signer("chief"))
    assert states(registry) == [(1, "revoked")]
    with pytest.raises(RevokedError):
        registry.review(reference)


def test_proposal_waits_and_is_not_stale_where_nobody_can_tell_the_newest(bench: Bench) -> None:
    """The latest statement ran out: proposing again would change nothing."""
    published(bench, bench.pets())
    data = bench.pets(count=9)
    reference = propose(bench, data)
    trust = bench.trust("alice", "bob", threshold=2, attest=("clock",))
    registry = replace(two(bench), trust=trust)
    (one,) = registry.proposals()
    assert (one.state, "no latest statement of pets counts" in one.because) == ("waiting", True)
    assert "provreg latest pets" in one.needed
    for act in (
        lambda: registry.review(reference),
        lambda: registry.ingest(
            Ingestion("pets", (data,), source="shelter"), bench.signer("alice")
        ),
    ):
        with pytest.raises(NotTrustedError, match="no latest statement") as caught:
            act()
        assert caught.value.step == 8
        assert "provreg latest pets" in caught.value.hint
    registry.sign_latest("pets", bench.signer("clock"), valid=timedelta_of_a_day())
    made = registry.countersign(registry.review(reference), bench.signer("bob"))
    assert made.published


def test_proposal_is_neither_stale_nor_signed_where_the_registry_hides_what_was_seen(
    bench: Bench,
) -> None:
    published(bench, bench.pets())
    published(bench, bench.pets(count=8))
    reference = propose(bench, bench.pets(count=9))
    head = two(bench).resolve(reference).head
    bench.record(2).unlink()
    (one,) = two(bench).proposals()
    assert (one.waiting.number, one.state) == (3, "waiting")
    assert head.version == 3
    with pytest.raises(NotTrustedError) as caught:
        two(bench).review(reference)
    assert caught.value.step == 9


def test_what_no_number_is_left_for_is_taken_away_and_nothing_else(bench: Bench) -> None:
    stale = [propose(bench, bench.pets("one", count=9)), propose(bench, bench.pets("two", count=7))]
    published(bench, bench.pets("two", count=7), message="the very contents of a proposal")
    waits = propose(bench, bench.pets("three", count=8))
    late = propose(bench, bench.pets("four", count=10), by="bob")
    versions = two(bench).workspace.versions
    # Of strangers too, which the list does not show; one of another dataset stays.
    stranger = "sha256:" + "0" * 64
    versions.propose("pets", 1, stranger)
    versions.propose("cats", 1, stranger)
    before = bench.files()
    gone = two(bench).tidy_proposals()
    assert sorted(gone) == sorted([*stale, f"pets@{stranger}"])
    assert two(bench).tidy_proposals() == []
    # What others rely on is there: who still waits, and all objects and signatures.
    left = {one.reference for one in two(bench).proposals()}
    assert left == {waits, late, f"cats@{stranger}"}
    removed = set(before) - set(bench.files())
    assert len(removed) == 3
    assert all("/proposals/00000001-" in path for path in removed)
    assert sign(bench, waits).published
    # As before it is shown, and revoked before it takes the place of the version.
    assert two(bench).resolve(stale[0]).head.version == 1
    chief = replace(two(bench), trust=bench.trust("alice", revoke=("chief",)))
    chief.revoke(stale[0], "poison", bench.signer("chief"))
    bench.point(1, stale[0].partition("@")[2])
    bench.forget()
    with pytest.raises(RevokedError, match="poison"):
        chief.verify("pets@1")


# Lies


def test_head_that_lost_its_race_is_signed_by_nobody_as_a_proposal(bench: Bench) -> None:
    """Its signature may have been left beside it by who was killed: nobody proposed it."""
    published(bench, bench.pets())
    one = two(bench).resolve("pets@1")
    digest = bench.forge(replace(one.head, version=2, parent=one.digest), claim=False)
    with pytest.raises(NotTrustedError, match="does not belong"):
        two(bench).review(f"pets@{digest}")
    assert states(two(bench)) == []


def test_proposal_of_another_number_dataset_or_uid_than_its_head_is_none(bench: Bench) -> None:
    published(bench, bench.pets())
    published_head = two(bench).resolve("pets@1")
    head = replace(published_head.head, version=2, parent=published_head.digest)
    digest = bench.forge(head, claim=False)
    versions = two(bench).workspace.versions
    versions.propose("pets", 3, digest)
    assert [one.state for one in two(bench).proposals()] == ["unknown"]
    other = bench.forge(replace(head, dataset="cats"), claim=False)
    versions.propose("pets", 2, other)
    assert {one.state for one in two(bench).proposals()} == {"unknown"}
    replayed = bench.forge(replace(head, uid="0" * 32), claim=False)
    versions.propose("pets", 2, replayed)
    assert states(two(bench)).count((2, "stale")) == 1
    with pytest.raises(NotTrustedError):
        two(bench).review(f"pets@{replayed}")


def test_proposals_of_strangers_do_not_wait_and_are_told_apart(bench: Bench) -> None:
    data = bench.pets()
    published(bench, data)
    bench.write("pets", {"cat/new.jpg": b"new"})
    ingestion = Ingestion("pets", (data,), source="shelter", propose=True)
    two(bench).ingest(ingestion, bench.signer("mallory"))
    assert states(two(bench)) == [(2, "unknown")]
    (data / "cat/new.jpg").unlink()
    assert ingest(bench, data).waiting == []


def test_flood_of_proposals_hides_none_from_who_names_it(bench: Bench) -> None:
    published(bench, bench.pets())
    reference = propose(bench, bench.pets(count=9))
    folder = bench.registry / "datasets/pets/proposals"
    for number in range(MAX_PROPOSALS + 10):
        name = f"{90_000_000 + number:08d}-sha256-{number:064x}.json"
        (folder / name).write_bytes(b"{}")
    (folder / "stranger").write_bytes(b"")
    registry = two(bench)
    assert len(registry.proposals()) == MAX_PROPOSALS
    assert any("more than 256 proposals" in warning for warning in bench.warnings)
    assert any("is not a proposal" in warning for warning in bench.warnings)
    assert sign(bench, reference).published


@pytest.mark.parametrize("planted", ["file", "link"])
def test_what_is_planted_in_the_place_of_proposals_keeps_nobody_from_publishing(
    bench: Bench, planted: str
) -> None:
    bench.ingest(bench.pets())
    folder = bench.registry / "datasets/pets/proposals"
    if planted == "file":
        folder.write_bytes(b"")
    else:
        folder.symlink_to(bench.folder)
    assert bench.ingest(bench.pets(count=9)).head is not None
    assert bench.open().proposals() == []


def test_claimed_number_of_an_incomplete_proposal_is_a_version_that_nobody_trusts(
    bench: Bench,
) -> None:
    """Who writes to the registry can claim numbers; that signs nothing."""
    published(bench, bench.pets())
    reference = propose(bench, bench.pets(count=9))
    two(bench).workspace.versions.claim("pets", 2, reference.partition("@")[2])
    assert states(two(bench)) == []
    with pytest.raises(NotTrustedError) as caught:
        two(bench).verify("pets")
    assert caught.value.step == 7
    assert sign(bench, "pets@2").version.trusted_because is not None
    assert two(bench).verify("pets").head.version == 2


def test_proposal_of_damaged_objects_is_not_signed(bench: Bench) -> None:
    reference = propose(bench, bench.pets())
    (part,) = two(bench).resolve(reference).head.parts
    bench.forget()
    bench.overwrite(bench.object(part.file), b"damaged")
    with pytest.raises(NotTrustedError) as caught:
        two(bench).review(reference)
    assert caught.value.step == 10


def test_check_finds_a_proposal_that_could_not_be_published_whole(bench: Bench) -> None:
    reference = propose(bench, bench.pets())
    assert list(two(bench).check()) == []
    head = two(bench).resolve(reference).head
    bench.object(head.parts[0].blocks).unlink()
    assert [one.where for one in two(bench).check()] == [f"proposal {reference}"]
    two(bench).workspace.versions.propose("pets", 7, reference.partition("@")[2])
    assert any("its head is that of pets@1" in one.what for one in two(bench).check())


# In ordinary use


def test_same_data_proposed_again_are_one_proposal(bench: Bench) -> None:
    data = bench.pets()
    reference = propose(bench, data)
    before = bench.files()
    outcome = ingest(bench, data, propose=True)
    assert outcome.proposed is not None
    assert (outcome.proposed.again, f"pets@{outcome.proposed.digest}") == (True, reference)
    assert bench.files() == before
    # Another's is another proposal: to sign what is shown is another command.
    assert propose(bench, data, by="bob") != reference


def test_next_ingestion_says_that_a_proposal_waits(bench: Bench) -> None:
    data = bench.pets()
    published(bench, data)
    reference = propose(bench, bench.pets("more", count=9))
    waits = [f"pets@{one.digest}" for one in ingest(bench, data).waiting]
    assert waits == [reference]
    assert ingest(bench, data, propose=True).waiting[0].by == ("alice",)


def test_changes_of_a_proposal_are_attributed_to_it_and_those_before_to_their_versions(
    bench: Bench,
) -> None:
    published(bench, bench.pets())
    published(bench, bench.pets(count=7))
    reference = propose(bench, bench.pets(count=8))
    registry = two(bench)
    for old, expected in (("pets@2", {3}), ("pets@1", {2, 3})):
        diff = registry.diff(old, reference)
        assert len(diff) == len(expected)
        hands = [hand for change in diff for hand in change.attributions.values()]
        assert {hand.version and hand.version.head.version for hand in hands} == expected
    blamed = registry.blame(reference, ("cat/7.jpg", "dog/6.jpg", "dog/0.jpg"))
    since = {one.id: one.content.version.head.version for one in blamed}
    assert since == {"cat/7.jpg": 3, "dog/6.jpg": 2, "dog/0.jpg": 1}
    everything = registry.blame(reference)
    assert len(list(everything)) == 8


def test_refusal_and_missing_number_tell_of_the_proposal_that_waits(bench: Bench) -> None:
    data = bench.pets()
    published(bench, data)
    bench.write("pets", {"cat/new.jpg": b"new"})
    reference = propose(bench, data)
    with pytest.raises(NotTrustedError) as caught:
        ingest(bench, data, by="bob")
    assert f"one by alice waits: {reference}" in caught.value.hint
    with pytest.raises(NotFoundError) as missing:
        two(bench).review("pets@2")
    assert "a proposal of it waits" in missing.value.hint


def test_what_was_proposed_is_not_remembered_as_the_newest_version(bench: Bench) -> None:
    data = bench.pets()
    published(bench, data)
    bench.write("pets", {"cat/new.jpg": b"new"})
    reference = propose(bench, data)
    assert ingest(bench, data, propose=True).proposed is not None
    assert sign(bench, reference).published
    assert ingest(bench, data).head is None


def test_signing_a_proposal_asks_for_a_policy(bench: Bench) -> None:
    reference = propose(bench, bench.pets())
    with pytest.raises(NotTrustedError, match="nothing says whom to trust"):
        replace(two(bench), trust=None).review(reference)
    with pytest.raises(UsageError):
        two(bench).review("pets@sha256:0")


def test_log_tells_waiting_revoked_distrusted_and_unsigned_apart_and_names_the_signer(
    bench: Bench,
) -> None:
    """All were `UNTRUSTED`, and nothing said by whom."""
    published(bench, bench.pets())
    bench.ingest(bench.pets(count=7), by="alice", trusting=("bob",))
    bench.ingest(bench.pets(count=8), by="mallory", trusting=("alice", "bob"))
    unsigned = bench.ingest(bench.pets(count=9), by="bob", trusting=("alice", "mallory"))
    assert unsigned.digest is not None
    for path in bench.signatures(unsigned.digest).iterdir():
        path.unlink()
    trust = bench.trust("alice", "bob", threshold=2, revoke=("chief",))
    registry = replace(two(bench), trust=trust)
    registry.revoke("pets@1", "poison", bench.signer("chief"))
    key = bench.signer("mallory").key.public.fingerprint
    found = {one.head.version: (one.standing, one.signed_by) for one in registry.log("pets")}
    assert found == {
        1: ("revoked", ("alice", "bob")),
        2: ("waiting", ("alice",)),
        3: ("distrusted", (f"the key {key}, not verified",)),
        4: ("unsigned", ()),
    }
    # A principal of the policy, and one whom no publish rule names.
    known = replace(registry, trust=bench.trust("alice", "bob", revoke=("mallory",)))
    assert {one.standing: one.signed_by for one in known.log("pets")}["distrusted"] == ("mallory",)
    nobody = replace(registry, trust=None)
    assert {one.standing for one in nobody.log("pets")} == {"distrusted", "unsigned"}
    bench.forget()
    reference = propose(bench, bench.pets(count=10))
    assert (two(bench).resolve(reference).standing) == "proposed"
    assert two(bench).resolve(reference).signed_by == ("alice",)
