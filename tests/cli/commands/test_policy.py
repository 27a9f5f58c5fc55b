"""`policy add`, `policy end`, `policy init` for several, and `key show`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas/output"
Provreg = Callable[..., Any]


@pytest.fixture
def keys(provreg: Provreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the keys of alice, bob and ci, and a policy of the first two."""
    monkeypatch.chdir(tmp_path)
    for name in ("alice", "bob", "ci"):
        provreg("key", "generate", "--out", f"{name}.key", "--no-passphrase")
    ran = provreg("policy", "init", "--key", "alice.key.pub", "--key", "bob.key.pub",
                  "--threshold", "2")  # fmt: skip
    assert ran.code == 0
    return tmp_path


def policy(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "provreg.policy.toml").read_text("utf-8"))


def test_a_starter_policy_is_for_several_people(keys: Path, provreg: Provreg) -> None:
    written = policy(keys)
    assert [one["name"] for one in written["principal"]] == ["alice", "bob"]
    assert written["publish"][0]["principals"] == ["alice", "bob"]
    assert written["publish"][0]["threshold"] == 2
    for wrong in (["--threshold", "3"], ["--name", "x"], ["--name", "x", "--name", "x"]):
        ran = provreg("policy", "init", "--key", "alice.key.pub", "--key", "bob.key.pub",
                      "--out", "other.toml", *wrong)  # fmt: skip
        assert ran.code == 2
        assert not (keys / "other.toml").exists()


def test_additions_keep_comments_and_the_mode_of_the_file(keys: Path, provreg: Provreg) -> None:
    path = keys / "provreg.policy.toml"
    path.chmod(0o640)
    before = [line for line in path.read_text("utf-8").splitlines() if "#" in line]
    for command in (
        "policy add principal ci --key ci.key.pub --rule publish",
        "policy add rule publish --dataset photos --principal ci --before 1",
        "policy end alice.key.pub --valid-until 2027-01-01",
    ):
        ran = provreg(*command.split(), "--json")
        assert ran.code == 0, ran.err
        name = "-".join(command.split()[: 3 if "add" in command else 2])
        document = json.loads(ran.out)
        jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.v1.json").read_text()))
        assert document["change"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [line for line in path.read_text("utf-8").splitlines() if "#" in line] == before
    written = policy(keys)
    assert written["publish"][0] == {"datasets": ["photos"], "principals": ["ci"]}
    assert written["publish"][1]["principals"] == ["alice", "bob", "ci"]
    assert written["principal"][0]["keys"][0]["valid_until"].year == 2027
    assert provreg("policy", "check").code == 0


def test_a_rule_bounds_sources_labels_and_changes(keys: Path, provreg: Provreg) -> None:
    ran = provreg(
        "policy", "add", "rule", "publish", "--dataset", "photos", "--before", "1",
        "--principal", "alice", "--principal", "bob",
        "--limit", "kinds=relabeled,removed share=0.01 unless=2", "--limit", "count=5 each=labeler",
        "--allow-source", "camera-*", "--forbid-source", "camera-9", "--forbid-labeler", "mallory",
        "--no-labeler", "--allow-label", "cat", "--allow-label", "dog", "--forbid-label", "catt",
        "--unlabeled", "0.02", "--signers-for-new", "2",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert policy(keys)["publish"][0] == {
        "datasets": ["photos"],
        "principals": ["alice", "bob"],
        "sources": {"allow": ["camera-*"], "forbid": ["camera-9"]},
        "labelers": {"forbid": ["mallory"], "absent": True},
        "labels": {
            "allow": ["cat", "dog"], "forbid": ["catt"], "absent": {"share": 0.02},
            "signers_for_new": 2,
        },
        "limits": [
            {"kinds": ["relabeled", "removed"], "share": 0.01, "unless": 2},
            {"count": 5, "each": "labeler"},
        ],
    }  # fmt: skip
    explained = provreg("policy", "check").out
    assert "mallory" in explained
    assert "catt" in explained


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("share", "'share'"),
        ("shares=0.1", "'shares=0.1'"),
        ("share=some", "share is a number"),
        ("share=0.1 share=0.2", "'share=0.2'"),
        ("share=2", "share"),
        ("kinds=flipped count=3", "kinds is not a list"),
        ("", "limit"),
    ],
)
def test_a_wrong_limit_is_refused(keys: Path, provreg: Provreg, limit: str, message: str) -> None:
    before = (keys / "provreg.policy.toml").read_bytes()
    words = ["--dataset", "photos", "--principal", "alice", "--before", "1", "--limit", limit]
    ran = provreg("policy", "add", "rule", "publish", *words)
    assert ran.code == 2
    assert message in ran.err
    assert (keys / "provreg.policy.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("add rule train --dataset x --principal bob --allow-label cat", "labels"),
        ("add principal ALICE --key ci.key.pub", "has the principal alice already"),
        ("add principal eve --key bob.key.pub", "as a key of bob"),
        ("add principal eve", "neither a key nor an identity"),
        ("add principal eve --identity e@example.org", "without an issuer"),
        ("add principal e/ve --key ci.key.pub", "not a principal's name"),
        ("add principal ci --key ci.key.pub --rule publish:2", "no publish rule 2"),
        ("add key eve ci.key.pub", "no principal 'eve'"),
        ("add key alice alice.key.pub", "as a key of alice"),
        ("add key alice ci.key.pub --valid-from 2027-01-01T00:00:00", "invalid time"),
        ("add key alice ci.key.pub --valid-from 2027-01-01 --valid-until 2026-01-01", "before"),
        ("add rule publish --dataset photos --principal alice", "publish rule 1 (*) covers"),
        ("add rule publish --dataset * --principal alice --before 1", "would have no effect"),
        ("add rule publish --dataset x --principal eve --before 1", "unknown principal 'eve'"),
        ("add rule revoke --dataset x --principal bob --threshold 2 --before 1", "threshold"),
        ("end ci.key.pub --revoked now", "no principal of the policy has the key"),
        ("end bob.key.pub", "planned or a theft"),
    ],
)
def test_what_is_ambiguous_changes_nothing(
    keys: Path, provreg: Provreg, command: str, message: str
) -> None:
    before = (keys / "provreg.policy.toml").read_bytes()
    ran = provreg("policy", *command.split())
    assert ran.code in {2, 3}
    assert message in ran.err
    assert (keys / "provreg.policy.toml").read_bytes() == before


def test_a_dry_run_shows_the_change_and_writes_nothing(keys: Path, provreg: Provreg) -> None:
    before = (keys / "provreg.policy.toml").read_bytes()
    ran = provreg("policy", "add", "key", "alice", "ci.key.pub", "--dry-run")
    assert "+-----BEGIN PUBLIC KEY-----" in ran.out
    assert "would be changed" in ran.out
    assert (keys / "provreg.policy.toml").read_bytes() == before


def test_a_policy_behind_a_link_is_changed_where_it_is(keys: Path, provreg: Provreg) -> None:
    (keys / "linked").mkdir()
    (keys / "provreg.policy.toml").rename(keys / "linked/real.toml")
    (keys / "policy.toml").symlink_to("linked/real.toml")
    ran = provreg("policy", "add", "key", "bob", "ci.key.pub", "--policy", "policy.toml")
    assert ran.code == 0, ran.err
    assert (keys / "policy.toml").is_symlink()
    assert len(tomllib.loads((keys / "linked/real.toml").read_text())["principal"][1]["keys"]) == 2


def test_a_key_is_shown_without_its_private_part(
    keys: Path, provreg: Provreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = json.loads(provreg("key", "show", "bob.key.pub", "--json").out)
    jsonschema.validate(public, json.loads((SCHEMAS / "key-show.v1.json").read_text()))
    assert (public["kind"], public["encrypted"]) == ("public", False)
    private = provreg("key", "show", "bob.key")
    assert public["fingerprint"] in private.out
    secret = (keys / "bob.key").read_text().split("\n")[1]
    assert secret not in private.out + private.err
    assert "not encrypted" in private.err
    # The lines can be pasted.
    lines = private.out[private.out.index("keys = [") :]
    assert tomllib.loads(lines)["keys"] == [public["pem"]]
    monkeypatch.setenv("PROVREG_PASSWORD", "x")
    provreg("key", "generate", "--out", "dora.key")
    monkeypatch.delenv("PROVREG_PASSWORD")
    shown = provreg("key", "show", "dora.key")
    assert "private, encrypted (p256)" in shown.out
    assert "dora.key.pub" in shown.err
    (keys / "dora.key.pub").unlink()
    refused = provreg("key", "show", "dora.key")
    assert refused.code == 2
    assert "PROVREG_PASSWORD" in refused.err


def test_signing_with_the_public_key_says_so(keys: Path, provreg: Provreg) -> None:
    provreg("init")
    ran = provreg("sign", "pets@1", "--sign", "key:bob.key.pub")
    assert "is a public key, and signing needs the private key" in ran.err
    assert "pass 'bob.key'" in ran.err
    (keys / "bob.key").chmod(0o644)
    assert "chmod 600" in provreg("sign", "pets@1", "--sign", "key:bob.key").err
