"""Policies, pins and registries planted where the victim works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provreg.flows.session.trust import POLICY_NAME
from provreg.store.private.pins import write_lock
from provreg.store.private.state import Pin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench


def policy(bench: Bench, name: str) -> str:
    return (
        "format = 'provreg.policy/v1'\n[[principal]]\n"
        f"name = '{name}'\nkeys = ['''{bench.signer(name).key.public.pem}''']\n"
        f"[[publish]]\ndatasets = ['*']\nprincipals = ['{name}']\n"
    )


@pytest.fixture
def poisoned(bench: Bench) -> Path:
    """Data and a version of it by mallory, whom nobody trusts; returns the data."""
    data = bench.pets()
    bench.ingest(data, by="mallory")
    bench.forget()
    return data


@pytest.mark.parametrize("place", ["data", "below the data", "registry"])
def test_a_policy_planted_in_data_or_registry_makes_nothing_trusted(
    bench: Bench, poisoned: Path, place: str
) -> None:
    folder = {"data": poisoned, "below the data": poisoned, "registry": bench.registry}[place]
    (folder / POLICY_NAME).write_text(policy(bench, "mallory"), "utf-8")
    cwd = poisoned / "cat" if place == "below the data" else folder
    ran = bench.run("verify", "pets", "--data", poisoned, cwd=cwd)
    assert ran.returncode == 4
    assert b"step 6" in ran.stderr


def test_a_policy_others_can_write_makes_nothing_trusted(bench: Bench, poisoned: Path) -> None:
    work = bench.folder / "work"
    work.mkdir()
    (work / POLICY_NAME).write_text(policy(bench, "mallory"), "utf-8")
    (work / POLICY_NAME).chmod(0o666)
    ran = bench.run("verify", "pets", cwd=work)
    assert ran.returncode == 4
    # The same file, closed: trusted, and it is said by which file and digest.
    (work / POLICY_NAME).chmod(0o644)
    ran = bench.run("verify", "pets", cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert b"sha256:" in ran.stdout
    assert POLICY_NAME.encode() in ran.stdout


def test_without_any_policy_nothing_is_trusted(bench: Bench, poisoned: Path) -> None:
    ran = bench.run("verify", "pets", cwd=bench.folder)
    assert ran.returncode == 4
    assert b"--policy" in ran.stderr


def test_an_empty_policy_allows_nothing(bench: Bench, poisoned: Path) -> None:
    path = bench.folder / "empty.toml"
    path.write_text("format = 'provreg.policy/v1'\n", "utf-8")
    ran = bench.run("verify", "pets", "--policy", path)
    assert ran.returncode == 4


def test_a_planted_lock_file_can_only_refuse_more(bench: Bench, poisoned: Path) -> None:
    work = bench.folder / "work"
    work.mkdir()
    (work / "provreg.lock").write_text(
        '{"format": "provreg.lock/v1", "datasets": {"pets": {"uid": "' + "0" * 32
        + '", "version": 1, "head": "sha256:' + "0" * 64 + '"}}}', "utf-8",
    )  # fmt: skip
    ran = bench.run("verify", "pets", "--key", bench.key_file("mallory"), cwd=work)
    assert ran.returncode == 4
    assert b"step 9" in ran.stderr


def test_a_planted_lock_file_vouches_for_nothing(bench: Bench) -> None:
    """A pin keeps what an ended key signed; planted, it would keep what its thief signs."""
    published = bench.ingest(bench.pets())
    bench.forget()
    assert published.head is not None
    path = bench.folder / "ended.toml"
    text = policy(bench, "alice").replace("['''", "[{valid_until = 2026-01-01T00:00:00Z, pem = '''")
    path.write_text(text.replace("''']", "'''}]"), "utf-8")
    work = bench.folder / "work"
    work.mkdir()
    (work / "provreg.lock").write_text(
        '{"format": "provreg.lock/v1", "datasets": {"pets": {"uid": "' + published.head.uid
        + f'", "version": 1, "at": "2025-12-01T00:00:00Z", "head": "{published.digest}"'
        + "}}}", "utf-8",
    )  # fmt: skip
    (work / "provreg.lock").chmod(0o666)
    ran = bench.run("verify", "pets", "--policy", path, cwd=work)
    assert ran.returncode == 4
    assert b"step 8" in ran.stderr
    # The user's own is another matter.
    (work / "provreg.lock").chmod(0o644)
    assert bench.run("verify", "pets", "--policy", path, cwd=work).returncode == 0


def test_a_planted_exact_pin_does_not_roll_back(bench: Bench) -> None:
    """An exact pin chooses an old version: only the user may make one."""
    first = bench.ingest(bench.pets())
    bench.ingest(bench.pets(count=8))
    assert first.head is not None
    work = bench.folder / "work"
    work.mkdir()
    lock = work / "provreg.lock"
    pin = Pin(first.head.uid, 1, str(first.digest), exact=True)
    write_lock(lock, {"pets": pin})
    lock.chmod(0o666)
    key = bench.key_file("alice")
    ran = bench.run("verify", "pets", "--key", key, cwd=work)
    assert ran.returncode == 4
    assert b"pinned to exactly version 1 by a lock file that others may have written" in ran.stderr
    assert (
        b"pets@2 is verified" in bench.run("verify", "pets@latest", "--key", key, cwd=work).stdout
    )
    lock.chmod(0o644)
    assert b"pets@1 is verified" in bench.run("verify", "pets", "--key", key, cwd=work).stdout
