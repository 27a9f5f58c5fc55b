"""What each version brought, from whom, and who signed it, however it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_log_names_the_sources_of_what_a_version_brought(pets: Path, provreg: Run) -> None:
    newest, first = provreg("log", "pets", "--policy", "both.toml", "--json").json["versions"]
    assert first["origins"] == {"injected": [{"name": "web", "samples": 10}]}
    assert newest["origins"] == {
        "injected": [{"name": "vendor-b", "samples": 1}],
        "modified": [{"name": "vendor-b", "samples": 1}],
        "relabeled": [{"name": "mallory", "samples": 1}],
    }
    words = provreg("log", "pets", "--policy", "both.toml").out
    assert "1 injected from vendor-b, 1 removed, 1 relabeled by mallory" in words
    assert "10 injected from web" in words


def test_only_the_newest_versions_are_listed_on_demand(pets: Path, provreg: Run) -> None:
    ran = provreg("log", "pets", "-n", "1", "--policy", "both.toml")
    assert len(ran.out.splitlines()) == 2
    assert "older versions are not listed" in ran.err
    document = provreg("log", "pets", "--newest", "1", "--json", "--policy", "both.toml").json
    assert [version["version"] for version in document["versions"]] == [2]
    assert "older" not in provreg("log", "pets", "-n", "2", "--policy", "both.toml").err
    assert provreg("log", "pets", "-n", "0").code == 2


def test_a_version_that_waits_says_for_whom(pets: Path, provreg: Run) -> None:
    ran = provreg("log", "pets", "--policy", "two.toml")
    assert "mallory (waiting)" in ran.out
    assert "pets@2 is waiting for signatures" in ran.err
    assert "needs a signature by 1 of: ann" in ran.err
    assert "UNTRUSTED" not in ran.out


def test_a_revoked_version_is_called_revoked_and_names_its_signer(pets: Path, provreg: Run) -> None:
    policy = pets / "both.toml"
    policy.write_text(policy.read_text() + '\n[[revoke]]\ndatasets = ["*"]\nprincipals = ["ann"]\n')
    trust = ("--policy", "both.toml")
    revoke = ("revoke", "pets@2", "--reason", "poison", "--sign", "key:ann.key", "--yes")
    assert provreg(*revoke, *trust).code == 0
    for command in (["log", "pets"], ["ls"], ["ls", "--versions"], ["blame", "pets"]):
        ran = provreg(*command, *trust)
        assert "mallory (REVOKED)" in ran.out, command
        assert "UNTRUSTED" not in ran.out + ran.err
        assert "pets@2 is revoked: step 8" in ran.err


def test_all_versions_are_listed_under_a_policy_without_a_signer(pets: Path, provreg: Run) -> None:
    """The runbook's question: what did Mallory sign?"""
    lines = provreg("ls", "--versions").out.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith("ann")
    assert "UNTRUSTED" in lines[2]
    assert provreg("ls", "--versions", "--proposals").code == 2


def test_names_beyond_the_counted_ones_are_not_counted_out(pets: Path, provreg: Run) -> None:
    rows = [f"{number},x,s{number:02}" for number in range(30)]
    (pets / "rows.csv").write_text("\n".join(["id,text,source", *rows]) + "\n")
    ingest = ("ingest", "rows.csv", "--name", "rows", "--id", "id", "--source-column", "source")
    assert provreg(*ingest, "--sign", "key:ann.key").code == 0
    assert "30 injected from s00 1, s01 1, s02 1 and others" in provreg("log", "rows").out
    [version] = provreg("log", "rows", "--json").json["versions"]
    assert len(version["origins"]["injected"]) == 20


def test_the_signer_of_a_waiting_version_is_shown_to_the_countersigner(
    pets: Path, provreg: Run
) -> None:
    shown = provreg("sign", "pets@2", "--sign", "key:ann.key", "--yes", "--policy", "two.toml")
    assert "mallory (waiting) in @2" in shown.out
