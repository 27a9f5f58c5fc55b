"""`accept`: a finding is shown, asked about, signed, and then listed as accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas/output"
Run = Callable[..., Any]
ACCEPT = ("--reason", "known twins", "--yes", "--policy", "policy.toml")


@pytest.fixture
def conflicting(provreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two texts that stand twice, with two labels; alice publishes, chief may accept."""
    monkeypatch.chdir(tmp_path)
    provreg("init")
    for name in ("alice", "chief"):
        provreg("key", "generate", "--out", f"{name}.key", "--no-passphrase")
    provreg("policy", "init", "--key", "alice.key.pub", "--out", "policy.toml")
    for words in (
        ["principal", "chief", "--key", "chief.key.pub"],
        ["rule", "accept", "--dataset", "pets", "--principal", "chief", "--maximum-age", "90d"],
    ):
        ran = provreg("policy", "add", *words, "--policy", "policy.toml")
        assert ran.code == 0, ran
    _ingest(provreg, 2)
    return tmp_path


def _ingest(provreg: Run, conflicts: int) -> None:
    lines = ["id,text,label", *(f"s{n},text {n},cat" for n in range(12))]
    lines += [f"t{n},text {n},dog" for n in range(conflicts)]
    Path("rows.csv").write_text("\n".join(lines) + "\n", "utf-8")
    ran = provreg(
        "ingest", "rows.csv", "--name", "pets", "--id", "id", "--label", "label",
        "--source", "shop", "--sign", "key:alice.key", "--policy", "policy.toml",
    )  # fmt: skip
    assert ran.code == 0, ran


def _screen(provreg: Run, *words: str) -> Any:
    return provreg("screen", "pets", "--fail-on", "warning", "--policy", "policy.toml", *words)


def _shown(provreg: Run) -> str:
    """The name of the finding, as a person copies it."""
    lines = _screen(provreg).out.splitlines()
    (name,) = (line.removeprefix("finding: ") for line in lines if line.startswith("finding: "))
    return str(name)


def test_accepted_findings_do_not_fail_and_are_listed(conflicting: Path, provreg: Run) -> None:
    assert _screen(provreg).code == 1
    name = _shown(provreg)
    ran = provreg("accept", "pets", name, "--sign", "key:chief.key", *ACCEPT)
    assert ran.code == 0, ran
    assert "ERROR [duplicates]" in ran.out
    assert ran.out.endswith(f"accepted: duplicates {name} in pets@1\n")
    ran = _screen(provreg)
    assert ran.code == 0
    assert ran.out.splitlines()[0].endswith("1 accepted")
    assert "by chief on 20" in ran.out
    assert "in version 1: known twins" in ran.out
    _ingest(provreg, 3)
    ran = _screen(provreg)
    assert ran.code == 1
    assert _shown(provreg) != name


def test_documents(conflicting: Path, provreg: Run) -> None:
    name = _shown(provreg)
    ran = provreg("accept", "pets", name, "--sign", "key:alice.key", "--json", *ACCEPT)
    assert ran.code == 0, ran
    _check(ran.json, "accept")
    assert ran.json["acceptance"] is None
    assert "needs a signature by 1 of: chief" in ran.json["because"]
    assert "the acceptance does not count here" in ran.json["warnings"][0]
    ran = _screen(provreg, "--json")
    assert ran.code == 1
    _check(ran.json, "screen")
    assert "does not count: needs a signature by 1 of: chief" in ran.json["warnings"][0]
    ran = provreg("accept", "pets", name, "--sign", "key:chief.key", "--json", *ACCEPT)
    _check(ran.json, "accept")
    assert ran.json["acceptance"]["by"] == ["chief"]
    ran = _screen(provreg, "--json")
    assert ran.code == 0
    _check(ran.json, "screen")
    (accepted,) = ran.json["accepted"]
    assert accepted["finding"].startswith(f"sha256:{name}")
    assert accepted["acceptance"]["reason"] == "known twins"
    again = provreg("accept", "pets", name, "--sign", "key:chief.key", *ACCEPT)
    assert again.code == 2
    assert "is accepted already, by chief" in again.err


def _check(document: Any, schema: str) -> None:
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}.v1.json").read_text())).validate(document)


def test_nothing_is_signed_without_a_yes(conflicting: Path, provreg: Run) -> None:
    words = ("--reason", "r", "--sign", "key:chief.key", "--policy", "policy.toml")
    ran = provreg("accept", "pets", _shown(provreg), *words)
    assert ran.code == 2
    assert "--yes" in ran.err
    assert not Path(".provreg/acceptances").exists()


def test_what_is_not_found_is_said(conflicting: Path, provreg: Run) -> None:
    ran = provreg("accept", "pets", "0123456789ab", "--sign", "key:chief.key", *ACCEPT)
    assert ran.code == 3
    assert "pets@1 has no finding 0123456789ab" in ran.err
    assert "screen it with the same options" in ran.err
    ran = provreg("accept", "pets", "the first", "--sign", "key:chief.key", *ACCEPT)
    assert ran.code == 2
    assert "'the first' does not name a finding" in ran.err


def test_the_samples_of_a_finding_are_revoked(conflicting: Path, provreg: Run) -> None:
    name = _shown(provreg)
    words = ("revoke", "pets", "--finding", name, "--reason", "two labels", "--sign",
             "key:alice.key", "--policy", "policy.toml")  # fmt: skip
    ran = provreg(*words, "--dry-run")
    assert ran.code == 0, ran
    assert "ERROR [duplicates]" in ran.out
    assert "4 of them" in ran.out
    ran = provreg(*words, "--yes", "--json")
    assert ran.code == 0, ran
    _check(ran.json, "revoke")
    assert ran.json["revoked"] == 4
    criteria = ran.json["samples"]["criteria"]
    assert criteria["check"] == "duplicates"
    assert criteria["finding"].startswith(f"sha256:{name}")
    ran = provreg("revoke", "pets", "--phash", "--reason", "r", "--dry-run")
    assert "options of screening require --finding" in ran.err
