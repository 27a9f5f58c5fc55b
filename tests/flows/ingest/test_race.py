"""Several processes at once: nothing is lost, no number claimed twice, no reader turned away.

Children are forked while they wait at one pipe, so that they start at the same moment.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from provreg.core.manifest.head import parse_head
from provreg.errors import FormatError, NotTrustedError
from provreg.flows.ingest.request import Ingestion
from provreg.store.layout import digest_of_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench

EIGHT = 8


def at_once(jobs: Sequence[Callable[[], object]]) -> list[int]:
    """Runs each job in a process of its own, all at the same moment; their exit codes."""
    waiting, start = os.pipe()
    children = []
    for job in jobs:
        child = os.fork()
        if not child:
            code = 1
            try:
                os.close(start)
                os.read(waiting, 1)
                job()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    os.close(start)
    os.close(waiting)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def files_of(number: int) -> dict[str, bytes]:
    return {f"cat/{number}-{at}.jpg": b"%d %d" % (number, at) for at in range(3)}


def check_all_there(bench: Bench, versions: int, samples: set[str]) -> None:
    """Every version verifies, descends from the one before, and the last has all samples."""
    registry = bench.open()
    numbers = registry.workspace.versions.numbers("pets")
    assert numbers == list(range(1, versions + 1))
    parent = None
    for number in numbers:
        version = registry.verify(f"pets@{number}")
        assert version.head.parent == parent
        parent = version.digest
    assert set(registry.verify("pets").entries["id"].to_pylist()) == samples
    assert list(registry.check()) == []
    assert list(registry.check(index=True)) == []


def check_losers_are_no_versions(bench: Bench) -> int:
    """No head but the winners' verifies, by number or by digest; returns how many lost."""
    registry = bench.open()
    winners, losers = set(), []
    for number in registry.workspace.versions.numbers("pets"):
        with suppress(FormatError):  # squatted
            winners.add(registry.workspace.versions.record("pets", number))
    for path in (bench.registry / "objects").rglob("sha256-*"):
        parse_head(path.read_bytes())
        digest = digest_of_key(path.name)
        if digest not in winners:
            losers.append(digest)
            with pytest.raises(NotTrustedError):
                registry.verify(f"pets@{digest}")
    kept = [list(bench.signatures(digest).iterdir()) for digest in losers
            if bench.signatures(digest).exists()]  # fmt: skip
    assert not any(kept)
    return len(losers)


def publisher(bench: Bench, number: int, *, own_home: bool) -> Callable[[], object]:
    data = bench.write(f"data{number}", files_of(number))
    bench.signer()

    def publish() -> None:
        if own_home:
            for variable in ("PROVREG_CACHE", "PROVREG_STATE", "PROVREG_CONFIG"):
                os.environ[variable] = str(bench.folder / f"home{number}" / variable)
        outcome = bench.ingest(data, append=True, source=f"source {number}")
        assert outcome.head is not None

    return publish


@pytest.mark.parametrize("own_home", [False, True], ids=["one user", "eight users"])
def test_eight_publish_a_first_version_at_once_and_nothing_is_lost(
    bench: Bench, own_home: bool
) -> None:
    bench.ingest(bench.pets("warm"), name="warm")
    jobs = [publisher(bench, number, own_home=own_home) for number in range(EIGHT)]
    assert at_once(jobs) == [0] * EIGHT
    everything = {name for number in range(EIGHT) for name in files_of(number)}
    check_all_there(bench, EIGHT, everything)
    # warm@1 is a head as well, and no loser.
    bench.object(bench.open().workspace.versions.record("warm", 1)).unlink()
    assert check_losers_are_no_versions(bench) >= 1
    seen = bench.seen()
    assert seen is not None
    assert seen.newest == EIGHT


def test_eight_append_to_a_version_at_once_and_nothing_is_lost(bench: Bench) -> None:
    bench.ingest(bench.write("first", files_of(100)))
    jobs = [publisher(bench, number, own_home=number % 2 == 0) for number in range(EIGHT)]
    assert at_once(jobs) == [0] * EIGHT
    everything = {name for number in (*range(EIGHT), 100) for name in files_of(number)}
    check_all_there(bench, EIGHT + 1, everything)
    assert check_losers_are_no_versions(bench) >= 1
    sources = {
        entry["id"]: entry["source"] for entry in bench.open().verify("pets").entries.to_pylist()
    }
    assert {sources[name] for name in files_of(3)} == {"source 3"}


def test_the_same_change_published_eight_times_at_once_is_one_version(bench: Bench) -> None:
    bench.ingest(bench.pets())
    data = bench.pets("more", count=9)
    assert at_once([lambda: bench.ingest(data)] * EIGHT) == [0] * EIGHT
    assert bench.open().workspace.versions.numbers("pets") == [1, 2]
    assert bench.open().verify("pets").head.samples == 9


def test_a_winner_planted_between_look_and_claim_is_built_upon(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race without luck: each claim of the first publisher finds the number just taken."""
    from provreg.store.registry.versions import Versions

    bench.ingest(bench.write("first", files_of(0)))
    claim, others = Versions.claim, [1, 2, 3]

    def late(self: Versions, dataset: str, number: int, head: str) -> bool:
        if others:
            other = others.pop()
            monkeypatch.setattr(Versions, "claim", claim)
            bench.ingest(bench.write(f"data{other}", files_of(other)), append=True)
            monkeypatch.setattr(Versions, "claim", late)
        return claim(self, dataset, number, head)

    monkeypatch.setattr(Versions, "claim", late)
    outcome = bench.ingest(bench.write("last", files_of(9)), append=True)
    assert outcome.head is not None
    assert outcome.head.version == 5
    everything = {name for number in (0, 1, 2, 3, 9) for name in files_of(number)}
    check_all_there(bench, 5, everything)
    assert check_losers_are_no_versions(bench) == 3


@pytest.mark.parametrize("garbage", [b"", b"{}"])
def test_a_number_squatted_between_look_and_claim_is_passed_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, garbage: bytes
) -> None:
    from provreg.store.registry.versions import Versions

    bench.ingest(bench.pets())
    claim = Versions.claim

    def late(self: Versions, dataset: str, number: int, head: str) -> bool:
        if number < 5:
            bench.overwrite(bench.record(number), garbage)
        return claim(self, dataset, number, head)

    monkeypatch.setattr(Versions, "claim", late)
    outcome = bench.ingest(bench.pets("more", count=9))
    assert outcome.head is not None
    assert outcome.head.version == 5
    assert check_losers_are_no_versions(bench) == 3


def test_syncs_and_readers_at_once_all_succeed(bench: Bench) -> None:
    for count in range(6, 12):
        bench.ingest(bench.pets(count=count))

    def sync() -> None:
        assert bench.open().sync() == []

    def read() -> None:
        registry = bench.open()
        for _ in range(5):
            assert len(registry.log("pets")) == 6
            assert registry.sql("select count(*) from entries")[1] == [(51,)]
            assert len(registry.diff("pets@1", "pets@6")) == 5

    assert at_once([sync, read, sync, read, sync, read]) == [0] * 6
    assert list(bench.open().check(index=True)) == []


def test_readers_wait_for_a_writer_and_then_succeed(bench: Bench) -> None:
    """A writer that takes its time: without waiting DuckDB would refuse everybody else."""
    bench.ingest(bench.pets())
    bench.open().sync()
    for ask in (
        lambda: bench.open().log("pets"),
        lambda: bench.open().sql("select * from versions")[1],
    ):
        told, tell = os.pipe()
        writer = os.fork()
        if not writer:
            with bench.open().workspace.index.open(writing=True):
                os.write(tell, b"x")
                time.sleep(1)
            os._exit(0)
        os.read(told, 1)
        begun = time.monotonic()
        assert len(ask()) == 1
        assert time.monotonic() - begun > 0.5
        assert os.waitpid(writer, 0)[1] == 0


def test_a_reader_is_not_told_of_a_rollback_by_a_publication_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provreg.store.registry.versions import Versions

    bench.ingest(bench.pets())
    numbers, later = Versions.numbers, [9]

    def listing(self: Versions, dataset: str) -> list[int]:
        found = numbers(self, dataset)
        if later:
            bench.ingest(bench.pets("more", count=later.pop()))
        return found

    monkeypatch.setattr(Versions, "numbers", listing)
    assert bench.open().verify("pets").head.version == 1
    assert bench.open().verify("pets").head.version == 2


def signing(bench: Bench, reference: str, by: str) -> Callable[[], object]:
    bench.signer(by)

    def sign() -> None:
        registry = bench.open("alice", "bob", "carol", threshold=2)
        made = registry.countersign(registry.review(reference), bench.signer(by))
        assert made.published

    return sign


def proposing(bench: Bench, data: Path) -> str:
    ingestion = Ingestion("pets", (data,), source="shelter", propose=True)
    registry = bench.open("alice", "bob", "carol", threshold=2)
    outcome = registry.ingest(ingestion, bench.signer())
    assert outcome.proposed is not None
    return f"pets@{outcome.proposed.digest}"


def test_two_who_complete_a_proposal_at_once_publish_one_version(bench: Bench) -> None:
    data = bench.pets()
    for number in range(1, 5):
        bench.write("pets", {f"cat/new{number}.jpg": b"%d" % number})
        reference = proposing(bench, data)
        signers = [signing(bench, reference, name) for name in ("bob", "carol")]
        # Who comes when the other has published countersigns a version: that is no failure.
        codes = at_once(signers)
        assert 0 in codes
        registry = bench.open("alice", "bob", "carol", threshold=2)
        assert registry.workspace.versions.numbers("pets") == list(range(1, number + 1))
        assert registry.verify("pets").digest == reference.partition("@")[2]
        assert list(registry.check()) == []


def test_of_two_proposals_completed_at_once_one_is_published_and_the_other_stale(
    bench: Bench,
) -> None:
    references = [proposing(bench, bench.pets(f"data{n}", count=6 + n)) for n in range(4)]
    codes = at_once([signing(bench, one, "bob") for one in references])
    assert sorted(codes) == [0, 1, 1, 1]
    registry = bench.open("alice", "bob", "carol", threshold=2)
    assert registry.verify("pets").digest == references[codes.index(0)].partition("@")[2]
    assert [one.state for one in registry.proposals()] == ["stale"] * 3
    for place, reference in enumerate(references):
        if codes[place]:
            with pytest.raises(NotTrustedError):
                registry.verify(reference)
