"""What a person sees before they revoke a name that is no longer in the newest version."""

from __future__ import annotations

import io
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


def test_a_dry_run_signs_nothing(cleaned: Path, provreg: Run) -> None:
    ran = provreg("revoke", "pets", "--labeler", "mallory", "--until-version", "2", "--reason", "r",
                  "--dry-run", "--policy", "both.toml")  # fmt: skip
    assert ran.code == 0, ran
    assert "pets@3, " in ran.out
    assert "nothing was signed" in ran.err
    assert not Path(".provreg/revocations").exists()


def test_ids_are_taken_as_show_prints_them(
    cleaned: Path, provreg: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option in ((), ("--print0",)):
        shown = provreg("show", "pets@2", "--ids", "--where", "labeler = 'mallory'", *option)
        Path("ids").write_text(shown.out, "utf-8")
        said = provreg("revoke", "pets@2", "--ids-from", "ids", "--reason", "r", "--dry-run",
                       "--policy", "both.toml")  # fmt: skip
        assert "2 listed samples (ids 2 of version 2): 2 of them" in said.out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path("ids").read_bytes())))
    said = provreg("revoke", "pets@2", "--ids-from", "-", "--reason", "r", "--dry-run",
                   "--policy", "both.toml")  # fmt: skip
    assert "2 listed samples" in said.out


def test_a_version_is_no_time(cleaned: Path, provreg: Run) -> None:
    ran = provreg("revoke", "pets", "--labeler", "mallory", "--since", "5", "--reason", "r",
                  "--sign", "key:ann.key")  # fmt: skip
    assert ran.code == 2
    assert "--since requires a time" in ran.err
    assert "for a version: --since-version 5" in ran.err


@pytest.mark.parametrize("file", ["gone", "latin"])
def test_ids_that_cannot_be_read(cleaned: Path, provreg: Run, file: str) -> None:
    Path("latin").write_bytes("caf\xe9\n".encode("latin-1"))
    ran = provreg("revoke", "pets@2", "--ids-from", file, "--reason", "r", "--dry-run")
    assert ran.code in (2, 3, 6)
    assert f"'{file}'" in ran.err


def test_a_withdrawal_is_shown_and_asked_about(cleaned: Path, provreg: Run) -> None:
    common = ("--reason", "a mistake", "--sign", "key:ann.key")
    assert provreg("revoke", "pets", "--labeler", "mallory", *common, "--yes").code == 0
    assert provreg("withdraw", "1", *common).code == 2
    ran = provreg("withdraw", "1", *common, "--yes")
    assert ran.code == 0, ran
    assert "revocation 1: pets: samples labeled by mallory" in ran.out
    assert "pets: withdrawal of revocation 1 signed: revocation 2" in ran.out
    listed = provreg("revocations", "--key", "ann.key.pub")
    assert "(revocation 2): a mistake" in listed.out.replace("\n", " ")
    again = provreg("withdraw", "1", *common, "--yes")
    assert again.code == 3
    assert "no revocation 1 is in force" in again.err


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
