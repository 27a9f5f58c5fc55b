"""What a person sees before they revoke a name that is no longer in the newest version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provreg.core.manifest.manifest import name_table, parse_name_table
from provreg.errors import FormatError

Run = Callable[..., Any]


@pytest.fixture
def cleaned(pets: Path, provreg: Run) -> Path:
    """After pets@2, by Mallory of vendor-b, pets@3 is as pets@1 was."""
    ingest = ("ingest", "data", "--name", "pets", "--policy", "both.toml", "--sign", "key:ann.key")
    assert provreg(*ingest, "--source", "web", "--labeler", "ann").code == 0
    return pets


def revoke(provreg: Run, *options: str) -> str:
    arguments = ("--reason", "poison", "--sign", "key:ann.key", "--yes", "--policy", "both.toml")
    ran = provreg("revoke", "pets", *options, *arguments)
    assert ran.code == 0, ran
    warnings: str = ran.err
    return warnings


def test_a_name_that_only_earlier_versions_have_is_no_typing_error(
    cleaned: Path, provreg: Run
) -> None:
    warned = revoke(provreg, "--labeler", "mallory")
    assert "pets@3 has no samples labeled by mallory, but @2 has 2" in warned
    assert "spelling" not in warned
    assert "pets@3 has no samples from vendor-b, but @2 has 2" in revoke(
        provreg, "--source", "vendor-b"
    )


def test_a_name_that_no_version_has_may_be_misspelled(cleaned: Path, provreg: Run) -> None:
    assert "nor has any version before it: check the spelling" in revoke(
        provreg, "--labeler", "malory"
    )
    # Before --since it does not matter.
    assert "check the spelling" in revoke(provreg, "--labeler", "mallory", "--since-version", "3")


@pytest.mark.parametrize(
    "table",
    [b"", b"{}", b"[1]", b'[{"name":1,"samples":1}]', b'[{"name":"a"}]',
     b'[{"name":"a","samples":-1}]',
     b'[{"name":"a","samples":1,"x":1}]', b"[[" * 100, b'[ {"name":"a","samples":1}]'],
)  # fmt: skip
def test_a_forged_name_table_is_refused(table: bytes) -> None:
    """A head that nobody verified can name any object as its table."""
    with pytest.raises(FormatError):
        parse_name_table(table)


def test_name_table_is_read_as_written() -> None:
    counts = [("b", 3), ("a", 1)]
    assert parse_name_table(name_table(counts)) == counts


def test_earlier_versions_count_annotators(
    provreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    provreg("init")
    provreg("key", "generate", "--out", "a.key", "--no-passphrase")
    (tmp_path / "data").mkdir()
    ingest = ("ingest", "data", "--name", "pets", "--source", "us", "--sign", "key:a.key",
              "--label", "none")  # fmt: skip
    for night, second in enumerate(("ben", "kim")):
        for old in (tmp_path / "data").iterdir():
            old.unlink()
        lines = ["id,label,labeler"]
        for number in range(3):
            name = f"{night}-{number}.txt"
            (tmp_path / "data" / name).write_text(name)
            lines += [f"{name},cat,{who}" for who in ("ann", second)]
        (tmp_path / "labels.csv").write_text("\n".join(lines))
        ran = provreg(*ingest, "--labels", "labels.csv", "--aggregate", "majority")
        assert ran.code == 0, ran.err
    provreg("policy", "init", "--key", "a.key.pub")
    ran = provreg(
        "revoke", "pets", "--labeler", "ben", "--reason", "flipped", "--sign", "key:a.key", "--yes"
    )
    assert "pets@2 has no samples labeled by ben, but @1 has 3" in ran.err


def test_log_is_of_a_dataset(provreg: Run, pets: Path) -> None:
    ran = provreg("log", "pets@1")
    assert ran.code == 2
    assert "write pets" in ran.err
