"""`revocations`: what is revoked, since when, by whom, why, and whether it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
SIGN = ("--sign", "key:mallory.key", "--yes")


@pytest.fixture
def revoked(pets: Path, provreg: Run) -> Path:
    """pets@1 is revoked by ann, and a labeler by Mallory, whom ann's policy does not know."""
    policy = Path("provreg.policy.toml").read_text("utf-8")
    (pets / "strict.toml").write_text(policy, "utf-8")
    ran = provreg("revoke", "pets@1", "--reason", "flipped", "--sign", "key:ann.key", "--yes")
    assert ran.code == 0, ran
    what = ("--labeler", "ann", "--since-version", "2", "--reason", "revenge")
    ran = provreg("revoke", "pets", *what, *SIGN, "--key", "mallory.key.pub")
    assert ran.code == 0, ran
    return pets


def test_all_revocations_are_listed_and_those_that_do_not_count_marked(
    revoked: Path, provreg: Run
) -> None:
    ran = provreg("revocations")
    assert ran.code == 0
    heading, first, second, *why = ran.out.splitlines()
    assert heading.split() == ["no", "revokes", "created", "signed", "by", "counts", "reason"]
    assert first.split()[:2] == ["1", "pets@1"]
    assert first.split()[-3:] == ["ann", "yes", "flipped"]
    assert "pets: samples labeled by ann since version 2" in second
    assert second.split()[-2:] == ["NO", "revenge"]
    assert "not verified" in second
    assert len(why) == 1
    assert why[0].startswith("revocation 2 does not count: ")


def test_document_has_what_each_revokes(revoked: Path, provreg: Run) -> None:
    first, second = provreg("revocations", "--json").json["revocations"]
    assert (first["dataset"], first["version"], first["samples"]) == ("pets", 1, None)
    assert (first["in_force"], first["by"], first["signed_by"]) == (True, ["ann"], ["ann"])
    assert (first["reason"], first["because"], first["previous"]) == ("flipped", None, None)
    assert second["samples"] == {"by": "labeler", "name": "ann", "since": 2}
    assert (second["in_force"], second["by"]) == (False, [])
    both = provreg("revocations", "pets", "--json", "--policy", "both.toml").json["revocations"]
    assert both[1]["signed_by"] == ["mallory"]


def test_revocations_of_another_dataset_are_not_listed(revoked: Path, provreg: Run) -> None:
    assert provreg("revocations", "dogs").out == "no revocations of dogs\n"
    assert provreg("revocations", "dogs", "--json").json == {"revocations": []}


def test_registry_without_revocations_says_so(pets: Path, provreg: Run) -> None:
    assert provreg("revocations").out == "no revocations\n"


def test_number_that_is_no_revocation_is_a_warning(revoked: Path, provreg: Run) -> None:
    folder = revoked / ".provreg/revocations"
    (folder / "00000007.json").write_text("{}", "utf-8")
    (folder / "00000008.json").write_bytes((folder / "00000001.json").read_bytes())
    ran = provreg("revocations")
    assert len(ran.out.splitlines()) == 4
    assert "revocation 7 is ignored: " in ran.err
    assert "revocation 8 is ignored: it is a copy of revocation 1" in ran.err


def test_hidden_revocation_is_named(revoked: Path, provreg: Run) -> None:
    """Deleting the first of a chain hides it; the second says so."""
    again = (
        "revoke",
        "pets",
        "--source",
        "s",
        "--reason",
        "more",
        "--sign",
        "key:ann.key",
        "--yes",
    )
    assert provreg(*again).code == 0
    (revoked / ".provreg/revocations/00000001.json").unlink()
    ran = provreg("revocations")
    assert "no version verifies, because revocation 3 continues revocation 1" in ran.err


def test_without_a_policy_nothing_counts_and_all_is_listed(revoked: Path, provreg: Run) -> None:
    (revoked / "provreg.policy.toml").unlink()
    first, second = provreg("revocations", "--json").json["revocations"]
    assert {first["in_force"], second["in_force"]} == {False}
    assert first["because"] == "no policy and no key says whom to trust"
    assert first["signed_by"][0].endswith(", not verified")
