"""A version's ids by a command, exact for machines, and its parent by number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
IDS = [f"{kind}/{number}.txt" for kind in ("cat", "dog") for number in range(1, 6)]


def test_ids_are_listed_in_order_and_by_condition(pets: Path, provreg: Run) -> None:
    assert provreg("show", "pets@1", "--ids").out.splitlines() == IDS
    where = ("--where", "label = 'dog' and id like '%5.txt'")
    assert provreg("show", "pets@1", "--ids", *where).out == "dog/5.txt\n"
    assert provreg("show", "pets@1", "--ids", *where, "--json").json == {
        "ref": "pets@1", "ids": ["dog/5.txt"],
    }  # fmt: skip
    assert provreg("show", "pets@1", "--ids", "--where", "id = 'x'").out == ""
    # A version that the policy does not trust, too: an incident is made of them.
    ran = provreg("show", "pets", "--ids")
    assert "dog/evil.txt" in ran.out.splitlines()
    assert "UNTRUSTED" in ran.err


def test_ids_are_exact_for_machines_and_escaped_for_people(pets: Path, provreg: Run) -> None:
    """A hidden character (U+00AD) cannot be in an id; a blank and a letter beyond ASCII can."""
    path = pets / "odd/cat/a b\u00e9.txt"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    ingest = ("ingest", "odd", "--name", "odd", "--source", "s", "--sign", "key:ann.key")
    assert provreg(*ingest).code == 0
    for option in ("-0", "--print0"):
        assert provreg("show", "odd", "--ids", option).out == "cat/a b\u00e9.txt\0"
    assert provreg("show", "odd", "--ids", "--json").json["ids"] == ["cat/a b\u00e9.txt"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pets", "cat/1.txt", "--ids"],
        ["pets", "--where", "true"],
        ["pets", "-0"],
        ["pets", "--ids", "-0", "--json"],
        ["pets", "--ids", "--where", "nonsense("],
        ["pets", "--ids", "--where", "select 'x' as id from read_csv('/etc/passwd')"],
        ["model:data", "--ids"],
    ],
)
def test_contradictions_are_refused(pets: Path, provreg: Run, arguments: list[str]) -> None:
    ran = provreg("show", *arguments)
    assert ran.code == 2, ran


def test_parent_is_named_by_number(pets: Path, provreg: Run) -> None:
    policy = ("--policy", "both.toml")
    document = provreg("show", "pets", "--json", *policy).json
    assert document["parent_version"] == 1
    assert provreg("show", "pets@1", "--json").json["parent_version"] is None
    short = provreg("show", "pets", *policy).out
    assert "pets@1\n" in short
    assert document["parent"] not in short
    assert f"pets@1 ({document['parent']})" in provreg("show", "pets", "-v", *policy).out


def test_data_are_compared_with_the_signed_origin(pets: Path, provreg: Run) -> None:
    """`verify --data` sends people to `diff`, which hid whose the changed samples are."""
    refused = provreg("verify", "pets@1", "--data", "bad")
    assert "`provreg diff pets@1 PATH`" in refused.err
    shown = provreg("diff", "pets@1", "./bad").out
    assert "not published" not in shown
    rows = {line.split()[0]: line for line in shown.splitlines()[1:]}
    assert "web" in rows["modified"]
    assert "web" in rows["removed"]
    assert "ann" in rows["relabeled"]
    named = provreg("diff", "pets@1", "./bad", "--source", "web2", "--labeler", "eve").out
    assert "web -> web2" in named
    assert "ann -> eve" in named


def test_columns_that_are_not_signed_are_told(
    provreg: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    provreg("init")
    provreg("key", "generate", "--out", "a.key", "--no-passphrase")
    ingest = (
        "ingest",
        "rows.csv",
        "--name",
        "d",
        "--id",
        "id",
        "--source",
        "s",
        "--sign",
        "key:a.key",
    )
    (tmp_path / "rows.csv").write_text("id,text,batch\na,x,1\n")
    ran = provreg(*ingest, "--exclude-column", "batch")
    assert "not signed: the columns 'batch'" in ran.err
    (tmp_path / "rows.csv").write_text("id,text,batch,score\na,x,1,0.5\n")
    ran = provreg(*ingest, "--column-added", "score")
    assert "not signed: the columns 'batch'" in ran.err
    shown = provreg("show", "d@2").out
    assert re.search(r"^not signed +batch$", shown, re.MULTILINE)
    assert re.search(r"^added columns +score$", shown, re.MULTILINE)
