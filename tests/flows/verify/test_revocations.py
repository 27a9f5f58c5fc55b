"""Which samples are revoked, as loaders leave them out; and revocations that several must sign."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from provreg.core.statements.revocation import NamedSamples
from provreg.errors import NotTrustedError, RevokedError, UsageError
from provreg.flows.sign.scope import Scope
from provreg.flows.verify.revocations import Chain, InForce, PassedOver, read_chain
from provreg.registry import Registry

if TYPE_CHECKING:
    from provreg.flows.session.trust import Trust
    from provreg.flows.session.workspace import Workspace
    from tests.conftest import Bench


def consumer(bench: Bench) -> Registry:
    return bench.open(revoke=("chief",))


def revoke(bench: Bench, samples: Scope) -> None:
    consumer(bench).revoke("pets", "poison", bench.signer("chief"), samples=samples)


def revoked(bench: Bench, reference: str = "pets") -> list[str]:
    registry = consumer(bench)
    version = registry.verify(reference)
    mask = version.revoked_samples()
    assert len(mask) == version.entries.num_rows
    return [
        name for name, gone in zip(version.entries["id"].to_pylist(), mask, strict=True) if gone
    ]


def test_samples_of_a_source_are_revoked_in_every_version(bench: Bench) -> None:
    bench.ingest(bench.pets(count=4), source="shelter")
    bench.ingest(bench.pets(count=6), source="vendor")
    revoke(bench, Scope(source="vendor"))
    assert revoked(bench, "pets@1") == []
    assert revoked(bench) == ["cat/5.jpg", "dog/4.jpg"]


def test_what_a_labeler_said_before_stands(bench: Bench) -> None:
    """From version 2 on: what stood in version 1 with the same bytes and label is kept."""
    bench.ingest(bench.pets(count=4), labeler="mallory")
    more = bench.pets(count=6)
    (more / "cat/1.jpg").rename(more / "dog/1.jpg")
    bench.ingest(more, labeler="mallory")
    bench.ingest(bench.pets("third", 3), labeler="ann")
    revoke(bench, Scope(labeler="mallory", since_version=2))
    assert revoked(bench, "pets@1") == []
    assert revoked(bench, "pets@2") == ["cat/5.jpg", "dog/1.jpg", "dog/4.jpg"]
    revoke(bench, Scope(labeler="mallory"))
    assert len(revoked(bench, "pets@2")) == 6


def test_revocation_that_two_must_sign_is_joined_by_the_second(bench: Bench) -> None:
    bench.ingest(bench.pets())
    both = bench.open(revoke=("chief", "deputy"), agree=2)
    first = both.revoke("pets@1", "poison", bench.signer("chief"))
    assert isinstance(first.outcome, PassedOver)
    assert "deputy" in first.outcome.reason
    assert both.verify("pets").head.version == 1
    second = both.revoke("pets@1", "other words", bench.signer("deputy"))
    assert isinstance(second.outcome, InForce)
    assert second.outcome.revocation.reason == "poison"
    with pytest.raises(RevokedError, match="chief, deputy"):
        both.verify("pets")


def test_same_revocation_again_adds_nothing(bench: Bench) -> None:
    bench.ingest(bench.pets())
    registry = consumer(bench)
    assert registry.revoke("pets@1", "poison", bench.signer("chief")).added
    before = bench.files()
    assert not registry.revoke("pets@1", "again", bench.signer("chief")).added
    assert bench.files() == before


@pytest.mark.parametrize(("reference", "reason"), [("pets", "r"), ("pets@1", " "),
                                                   ("pets@1", "x" * 5000)])  # fmt: skip
def test_revocation_names_a_version_and_a_reason(bench: Bench, reference: str, reason: str) -> None:
    bench.ingest(bench.pets())
    with pytest.raises(UsageError):
        consumer(bench).revoke(reference, reason, bench.signer("chief"))


def test_check_finds_what_is_no_revocation_and_what_is_gone(bench: Bench) -> None:
    bench.ingest(bench.pets())
    bench.ingest(bench.pets(count=8))
    for number in (1, 2):
        consumer(bench).revoke(f"pets@{number}", "poison", bench.signer("chief"))
    assert list(bench.open().check()) == []
    bench.overwrite(bench.registry / "revocations/00000001.json", b"{}")
    found = {problem.where: problem.what for problem in bench.open().check()}
    assert set(found) == {"revocation 1", "revocation 2"}
    assert "is gone" in found["revocation 2"]


def test_a_revoked_version_is_untrusted_in_lists(bench: Bench) -> None:
    bench.ingest(bench.pets())
    consumer(bench).revoke("pets@1", "poison", bench.signer("chief"))
    (version,) = consumer(bench).log("pets")
    assert version.trusted_because is None
    assert "step 8: pets@1 is revoked by chief" in (version.refused_because or "")
    with pytest.raises(NotTrustedError):
        consumer(bench).review("pets@1")


def test_pin_holds_the_newest_revocation_and_verify_counts_revoked_samples(bench: Bench) -> None:
    bench.ingest(bench.pets())
    public = bench.key_file()
    private = public.with_suffix("")
    made = bench.run("revoke", "pets", "--source", "shelter", "--reason", "mistaken consent",
                     "--sign", f"key:{private}", "--yes")  # fmt: skip
    assert made.returncode == 0, made.stderr
    verified = bench.run("verify", "pets", "--key", public)
    assert verified.returncode == 0
    assert b"6 samples of pets@1 are revoked" in verified.stderr
    assert b"mistaken consent" in verified.stderr
    pinned = bench.run("pin", "pets@1", "--key", public)
    assert pinned.returncode == 0, pinned.stderr
    bench.forget()
    (bench.registry / "revocations/00000001.json").unlink()
    hidden = bench.run("verify", "pets@1", "--key", public)
    assert hidden.returncode == 4
    assert b"hides revocation 1, which is pinned" in hidden.stderr


def test_revocation_that_arrives_once_the_chain_was_read_is_continued(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not passed by: what no later one continues could be hidden, and nobody would notice."""
    bench.ingest(bench.pets())
    others = [Scope(source="vendor-b")]

    def read(workspace: Workspace, trust: Trust) -> Chain:
        chain = read_chain(workspace, trust)
        if others:
            revoke(bench, others.pop())
        return chain

    monkeypatch.setattr("provreg.flows.sign.revoke.read_chain", read)
    revoke(bench, Scope(source="vendor-a"))
    first, second = consumer(bench).verify("pets").chain.in_force
    assert second.revocation.samples == NamedSamples(source="vendor-a")
    assert second.revocation.previous == first.link


def test_revokers_at_once_each_take_a_number_of_their_own(bench: Bench) -> None:
    bench.ingest(bench.pets())
    registries = [consumer(bench) for _ in range(4)]

    def work(place: int) -> int:
        samples = Scope(source=f"vendor-{place}")
        made = registries[place].revoke("pets", "poison", bench.signer("chief"), samples=samples)
        assert isinstance(made.outcome, InForce)
        return made.outcome.revocation.number

    bench.signer("chief")
    with ThreadPoolExecutor(4) as pool:
        numbers = sorted(pool.map(work, range(4)))
    assert numbers == [1, 2, 3, 4]
    chain = consumer(bench).verify("pets").chain
    links = [one.revocation.previous for one in chain.in_force]
    assert links == [None, *(one.link for one in chain.in_force[:-1])]
    assert list(bench.open().check()) == []
