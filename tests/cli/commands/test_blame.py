"""Blame counted by who answers, and a name that a later version rewrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def ingest(provreg: Run, folder: str, *options: str) -> None:
    ran = provreg("ingest", folder, "--name", "many", "--policy", "both.toml", *options)
    assert ran.code == 0, ran


@pytest.fixture
def many(pets: Path, provreg: Run) -> Path:
    """many@1 to many@3: 60 samples by fay, 3 more by gus, and fay renamed to fay.miller."""
    for number in range(60):
        path = pets / f"many/cat/{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}")
    ingest(provreg, "many", "--source", "web", "--labeler", "fay", "--sign", "key:ann.key")
    for number in range(3):
        (pets / f"many/cat/new{number}.txt").write_text(f"new {number}")
    ingest(provreg, "many", "--source", "vendor", "--labeler", "gus", "--sign", "key:mallory.key")
    rows = [f"cat/{number:02}.txt,fay.miller" for number in range(60)]
    (pets / "labels.csv").write_text("\n".join(["id,labeler", *rows]) + "\n")
    ingest(provreg, "many", "--labels", "labels.csv", "--sign", "key:ann.key")
    return pets


def groups(provreg: Run, by: str) -> list[dict[str, Any]]:
    document = provreg("blame", "many", "--by", by, "--json", "--policy", "both.toml").json
    found: list[dict[str, Any]] = document["groups"]
    return found


def test_by_labeler_and_source_count_with_versions_and_new_names(many: Path, provreg: Run) -> None:
    assert groups(provreg, "labeler") == [
        {"samples": 60, "labeler": "fay", "now": {"fay.miller": 60},
         "since": [{"version": 1, "content": 0, "label": 60}]},
        {"samples": 3, "labeler": "gus", "now": {},
         "since": [{"version": 2, "content": 0, "label": 3}]},
    ]  # fmt: skip
    assert [(one["source"], one["samples"]) for one in groups(provreg, "source")] == [
        ("web", 60), ("vendor", 3),
    ]  # fmt: skip
    words = provreg("blame", "many", "--by", "labeler", "--policy", "both.toml").out
    assert "fay.miller" in words
    assert "@2" in words


def test_by_version_and_signer_count_bytes_and_labels(many: Path, provreg: Run) -> None:
    versions = groups(provreg, "version")
    assert [(one["version"], one["samples"], one["signed_by"]) for one in versions] == [
        (2, 3, ["mallory"]), (1, 60, ["ann"]),
    ]  # fmt: skip
    signers = groups(provreg, "signer")
    assert [(one["signed_by"], one["samples"]) for one in signers] == [
        (["ann"], 60),
        (["mallory"], 3),
    ]
    words = provreg("blame", "many", "--by", "signer", "--key", "ann.key.pub").out
    assert "UNTRUSTED" in words


def test_a_renamed_labeler_is_shown_with_both_names(many: Path, provreg: Run) -> None:
    shown = provreg("blame", "many", "cat/00.txt", "--policy", "both.toml").out
    assert "fay, now fay.miller" in shown
    assert "origin rewritten in @3" in shown
    grouped = provreg("blame", "many", "--policy", "both.toml").out
    assert "fay, now fay.miller" in grouped
    sample = provreg("blame", "many", "cat/00.txt", "--json", "--policy", "both.toml").json
    assert sample["samples"][0]["label"]["now"] == {"labeler": "fay.miller"}
    facts = provreg("show", "many", "cat/00.txt", "--policy", "both.toml").out
    assert "then by fay, rewritten in @3" in facts
    changed = provreg("diff", "many@2", "many@3", "--policy", "both.toml").out
    assert "fay -> fay.miller" in changed


def test_a_signer_of_bytes_and_label_is_named_once(many: Path, provreg: Run) -> None:
    provreg("sign", "many@2", "--sign", "key:ann.key", "--yes", "--policy", "both.toml")
    rows = ["id,label", "cat/00.txt,dog"]
    (many / "labels.csv").write_text("\n".join(rows) + "\n")
    ingest(provreg, "many", "--labels", "labels.csv", "--labeler", "eve", "--sign", "key:ann.key")
    shown = provreg("blame", "many", "cat/new0.txt", "cat/00.txt", "--policy", "both.toml").out
    assert "ann, mallory" in shown
    assert "ann, ann" not in shown


def test_many_groups_are_cut_and_what_is_left_is_said(pets: Path, provreg: Run) -> None:
    rows = [f"{number},x,labeler {number:03},s,text" for number in range(100)]
    (pets / "rows.csv").write_text("\n".join(["id,label,labeler,source,text", *rows]) + "\n")
    ran = provreg(
        "ingest", "rows.csv", "--name", "rows", "--id", "id", "--label", "label",
        "--labeler-column", "labeler", "--source-column", "source", "--sign", "key:ann.key",
    )  # fmt: skip
    assert ran.code == 0, ran
    for command in (("blame", "rows"), ("blame", "rows", "--by", "labeler")):
        lines = provreg(*command).out.splitlines()
        assert len(lines) == 1 + 20 + 1
        assert lines[-1].startswith("… and 80 samples in 80 more groups")
        assert "-v" in lines[-1]
    assert len(provreg("blame", "rows", "--by", "labeler", "-v").out.splitlines()) == 101
