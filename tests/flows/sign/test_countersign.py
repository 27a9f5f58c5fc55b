"""Countersigning: a second signature over the same statement, by whom saw what it changes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sigstore_instance import Instance as Loopback

from provreg.core.statements.statement import statement_of
from provreg.errors import NotFoundError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.registry import Registry
from provreg.store.private.state import Pin
from provreg.trust.bundle import parse_bundle
from provreg.trust.signers import KeySigner
from provreg.trust.sigstore.root import TrustedRoot
from provreg.trust.timestamps import TimestampAuthority

if TYPE_CHECKING:
    from tests.conftest import Bench


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


def sign(registry: Registry, signer: KeySigner, reference: str = "pets") -> Any:
    return registry.countersign(registry.review(reference), signer)


def test_second_signature_is_over_the_same_statement_and_meets_the_threshold(bench: Bench) -> None:
    bench.ingest(bench.pets())
    registry = bench.open("alice", "bob", threshold=2)
    with pytest.raises(NotTrustedError) as caught:
        registry.verify("pets")
    assert caught.value.step == 7
    made = sign(registry, bench.signer("bob"))
    assert made.bundle is not None
    assert made.version.trusted_because is not None
    assert registry.verify("pets").head.version == 1
    statements = {
        parse_bundle(path.read_bytes()).payload
        for path in bench.signatures(made.version.digest).iterdir()
    }
    assert statements == {statement_of(made.version.head)}


def test_same_signer_twice_adds_nothing(bench: Bench) -> None:
    bench.ingest(bench.pets())
    registry = bench.open("alice", "bob")
    assert sign(registry, bench.signer("alice")).bundle is None
    assert sign(registry, bench.signer("bob")).bundle is not None
    before = bench.files()
    assert sign(registry, bench.signer("bob")).bundle is None
    assert bench.files() == before


def test_same_signer_can_add_a_proven_time_once(bench: Bench, loopback: Loopback) -> None:
    bench.ingest(bench.pets())
    root = TrustedRoot(loopback.trusted_root(), "loopback")
    registry = Registry(
        bench.open().workspace, Trust(bench.trust().policy, "a test", root), root=root
    )
    stamp = TimestampAuthority(loopback.tsa.url, root).stamp
    stamping = replace(bench.signer(), stamp=stamp)
    assert sign(registry, stamping).bundle is not None
    assert sign(registry, stamping).bundle is None
    assert sign(registry, bench.signer()).bundle is None


def test_bundle_over_another_statement_is_not_taken_for_ones_own(bench: Bench) -> None:
    one = bench.ingest(bench.pets())
    two = bench.ingest(bench.pets(count=8))
    for path in bench.signatures(two.digest).iterdir():
        path.unlink()
    for path in bench.signatures(one.digest).iterdir():
        bench.overwrite(bench.signatures(two.digest) / path.name, path.read_bytes())
    assert sign(bench.open(), bench.signer()).bundle is not None
    assert bench.open().verify("pets").head.version == 2


def test_review_shows_changes_and_untrusted_versions_before(bench: Bench) -> None:
    bench.ingest(bench.pets())
    bench.ingest(bench.pets(count=8), by="mallory", trusting=("alice",))
    bench.ingest(bench.pets(count=9), by="alice", trusting=("mallory",))
    review = bench.open().review("pets")
    assert review.changes is not None
    assert review.changes.changes.counts()["injected"] == 1
    assert review.version.trusted_because is not None
    assert [(one.head.version, one.trusted_because is None) for one in review.before] == [
        (2, True), (1, False),
    ]  # fmt: skip
    first = bench.open().review("pets@1")
    assert (first.changes, list(first.before)) == (None, [])


def test_countersigner_is_told_who_made_the_version_and_what_it_waits_for(bench: Bench) -> None:
    bench.ingest(bench.pets())
    policy = bench.write("p", {"p.toml": _two_of_two(bench)}) / "p.toml"
    bench.key_file("bob")
    ran = bench.run("sign", "pets@1", "--sign", f"key:{bench.folder / 'bob.key'}",
                    "--policy", policy, "--yes")  # fmt: skip
    lines = ran.stdout.decode().splitlines()
    assert "  signed by alice" in lines
    assert any(line.startswith("waits for signatures: step 7: signed by 1 of 2") for line in lines)
    assert lines[-1].startswith("  now trusted here: signed by 2 of 2 needed")
    assert b"warning" not in ran.stderr
    bench.key_file("carol")
    ran = bench.run("sign", "pets@1", "--sign", f"key:{bench.folder / 'carol.key'}",
                    "--policy", policy, "--yes")  # fmt: skip
    assert b"warning: the policy in force does not have this signer" in ran.stderr


def _two_of_two(bench: Bench) -> str:
    keys = {name: bench.signer(name).key.public.pem for name in ("alice", "bob")}
    principals = "".join(
        f"[[principal]]\nname='{name}'\nkeys=['''{pem}''']\n" for name, pem in keys.items()
    )
    rule = "[[publish]]\ndatasets=['*']\nprincipals=['alice', 'bob']\nthreshold=2\n"
    return f"format='provreg.policy/v1'\n{principals}{rule}"


def test_damaged_version_is_not_signed(bench: Bench) -> None:
    first = bench.ingest(bench.pets())
    second = bench.ingest(bench.pets(count=8))
    for outcome, step in ((first, 10), (second, 10)):
        path = bench.object(outcome.head.parts[0].file)
        data = path.read_bytes()
        bench.overwrite(path, data[:-1] + b"?")
        with pytest.raises(NotTrustedError) as caught:
            bench.open().review("pets")
        assert caught.value.step == step
        bench.overwrite(path, data)
    assert bench.open().review("pets")


def test_version_that_contradicts_what_was_seen_or_pinned_is_not_signed(bench: Bench) -> None:
    bench.ingest(bench.pets())
    second = bench.ingest(bench.pets(count=8))
    other = replace(second.head, message="another second version")
    bench.point(2, bench.forge(other, claim=False))
    with pytest.raises(NotTrustedError) as caught:
        bench.open().review("pets")
    assert caught.value.step == 9
    bench.forget()
    pin = Pin(second.head.uid, 2, second.digest)
    with pytest.raises(NotTrustedError, match="does not descend"):
        bench.open(pins={"pets": pin}).review("pets")


def test_head_in_anothers_place_is_not_signed(bench: Bench) -> None:
    first = bench.ingest(bench.pets())
    bench.ingest(bench.pets(count=8))
    bench.forget()
    bench.point(2, first.digest)
    with pytest.raises(NotTrustedError) as caught:
        bench.open().review("pets@2")
    assert caught.value.step == 5
    with pytest.raises(NotFoundError):
        bench.open().review("pets@9")


def test_failed_signature_adds_nothing(bench: Bench, loopback: Loopback) -> None:
    bench.ingest(bench.pets())
    root = TrustedRoot(loopback.trusted_root(), "loopback")
    stamp = TimestampAuthority(loopback.tsa.url, root).stamp
    before = bench.files()
    with loopback.inject("timestamp-of-other-bytes"), pytest.raises(NotTrustedError):
        sign(bench.open(), replace(bench.signer("bob"), stamp=stamp))
    assert bench.files() == before


def test_command_asks_first_and_refuses_where_nobody_is_there(bench: Bench) -> None:
    bench.ingest(bench.pets())
    bench.ingest(bench.pets(count=8))
    public = bench.key_file()
    bob = bench.key_file("bob").with_suffix("")
    arguments = ("sign", "pets", "--sign", f"key:{bob}", "--key", public)
    before = bench.files()
    unasked = bench.run(*arguments)
    assert unasked.returncode == 2
    assert b"--yes" in unasked.stderr
    assert b"2 injected" in unasked.stdout
    assert bench.files() == before
    signed = bench.run(*arguments, "--yes")
    assert signed.returncode == 0, signed.stderr
    assert b"pets@2 signed" in signed.stdout
    assert len(bench.files()) == len(before) + 1
    again = json.loads(bench.run(*arguments, "--yes", "--json").stdout)
    assert (again["signed"], again["bundle"]) == (False, None)
    nobody = bench.run("sign", "pets", "--yes")
    assert nobody.returncode == 2
    assert b"no signer was given" in nobody.stderr


@pytest.mark.parametrize(("answer", "code", "more"), [(b"y\n", 0, 1), (b"n\n", 130, 0)])
def test_answer_on_the_terminal_decides(bench: Bench, answer: bytes, code: int, more: int) -> None:
    bench.ingest(bench.pets())
    bob = bench.key_file("bob").with_suffix("")
    before = len(bench.files())
    leader, follower = pty.openpty()
    os.write(leader, answer)
    ran = subprocess.run(
        [sys.executable, "-m", "provreg", "sign", "pets", "--sign", f"key:{bob}"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]),
                          "PROVREG_REGISTRY": str(bench.registry)},
        stdin=follower, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(leader)
    os.close(follower)
    assert ran.returncode == code, ran.stderr
    assert b"sign pets@1 as shown above?" in ran.stderr
    assert len(bench.files()) == before + more
