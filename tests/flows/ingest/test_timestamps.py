"""Versions signed with a key and a timestamp, from end to end, by an authority on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sigstore_instance import Instance as Loopback

from provreg.errors import NotTrustedError
from provreg.flows.ingest.request import Ingestion
from provreg.registry import Registry
from provreg.trust.signers import KeySigner
from provreg.trust.sigstore.root import TrustedRoot

if TYPE_CHECKING:
    from tests.conftest import Bench


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def root(bench: Bench, loopback: Loopback) -> Path:
    path = bench.folder / "root.json"
    path.write_text(json.dumps(loopback.trusted_root()), "utf-8")
    return path


def test_command_signs_with_a_time_that_verify_shows(
    bench: Bench, loopback: Loopback, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = bench.key_file()
    ingest = ("ingest", bench.pets(), "--name", "pets", "--source", "shelter",
              "--sign", f"key:{public.with_suffix('')}")  # fmt: skip
    stamped = bench.run(*ingest, "--timestamp", loopback.tsa.url, "--trusted-root", root)
    assert stamped.returncode == 0, stamped.stderr
    verified = bench.run("verify", "pets", "--key", public, "--trusted-root", root, "-v")
    assert verified.returncode == 0, verified.stderr
    assert b" by tsa" in verified.stdout
    # Whom the authority is to be known by is for the consumer to say.
    unknown = bench.run("verify", "pets", "--key", public)
    assert unknown.returncode == 4
    assert b"no timestamp authority of the public-good root" in unknown.stderr
    monkeypatch.setenv("PROVREG_TIMESTAMP", loopback.tsa.url)
    monkeypatch.setenv("PROVREG_TRUSTED_ROOT", str(root))
    again = bench.run(*ingest[:1], bench.pets("more", 8), *ingest[2:])
    assert again.returncode == 0, again.stderr
    shown = json.loads(bench.run("show", "pets@2", "--key", public, "--json").stdout)
    assert shown["proof"] == "tsa"


@pytest.mark.parametrize("fault", ["tsa:500", "tsa:truncated", "timestamp-of-other-bytes"])
def test_failed_timestamp_publishes_nothing_and_the_next_one_works(
    bench: Bench, loopback: Loopback, root: Path, fault: str
) -> None:
    data = bench.pets()
    before = bench.files()
    public = bench.key_file()
    ingest = ("ingest", data, "--name", "pets", "--source", "shelter", "--timestamp",
              loopback.tsa.url, "--trusted-root", root,
              "--sign", f"key:{public.with_suffix('')}")  # fmt: skip
    with loopback.inject(fault):
        failed = bench.run(*ingest)
    assert failed.returncode == (4 if fault.startswith("timestamp") else 6), failed.stderr
    assert failed.stderr.count(b"provreg: ") == 1
    assert b"nothing was published" in failed.stderr
    assert bench.files() == before
    assert bench.run(*ingest).returncode == 0


def test_ones_own_timestamped_versions_are_continued_without_a_policy(
    bench: Bench, loopback: Loopback, root: Path
) -> None:
    trusted = TrustedRoot(loopback.trusted_root(), "loopback")
    registry = Registry(bench.open().workspace, None, root=trusted)
    bench.key_file()
    signer = KeySigner.load(bench.folder / "alice.key", timestamp=loopback.tsa.url, root=trusted)
    registry.ingest(Ingestion("pets", (bench.pets(),), source="shelter"), signer)
    more = registry.ingest(Ingestion("pets", (bench.pets("more", 8),), source="shelter"), signer)
    assert more.head is not None
    assert more.head.version == 2
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 3
