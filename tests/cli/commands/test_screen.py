"""`screen`: its report, its exit codes, and its document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def flipped(provreg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight labelers of 250 texts each; in version 2 one of them flips 60."""
    monkeypatch.chdir(tmp_path)
    provreg("init")
    provreg("key", "generate", "--out", "a.key", "--no-passphrase")
    rows = [[f"s{n:04}", f"text {n}", f"class {n % 4}", f"ann{n // 7 % 8}"] for n in range(2000)]
    for number in range(2):
        lines = ["id,text,label,labeler", *map(",".join, rows)]
        (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", "utf-8")
        ran = provreg(
            "ingest", "rows.csv", "--name", "pets", "--id", "id", "--label", "label",
            "--source", "shop", "--labeler-column", "labeler", "--sign", "key:a.key",
            "-m", f"night {number}",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        for row in rows[1:240:4]:
            row[2:] = ["class 2", "ann3"]
        for row in rows[240:1000:190]:
            row[2:] = ["class 3", "ann5"]
    return tmp_path


def test_a_report_for_people(flipped: Path, provreg: Run) -> None:
    ran = provreg("screen", "pets", "--check", "relabels")
    assert ran.code == 0
    assert "[relabels] labeler 'ann3' relabeled 60 of " in ran.out
    assert "expected: " in ran.out
    assert "could also be: " in ran.out
    look = next(line for line in ran.out.splitlines() if line.startswith("look: provreg sql "))
    shown = provreg("sql", "--csv", look.split('"')[1])
    assert len(shown.out.splitlines()) == 61


def test_a_finding_fails_only_where_asked(flipped: Path, provreg: Run) -> None:
    assert provreg("screen", "pets", "--check", "relabels").code == 0
    assert provreg("screen", "pets", "--check", "relabels", "--fail-on", "warning").code == 1
    assert provreg("screen", "pets@1", "--check", "relabels", "--fail-on", "warning").code == 0


def test_the_same_data_give_the_same_document(flipped: Path, provreg: Run) -> None:
    first, second = (provreg("screen", "pets", "--json") for _ in range(2))
    assert first.out == second.out
    findings = json.loads(first.out)["findings"]
    found = next(finding for finding in findings if finding["check"] == "relabels")
    assert found["group"] == {"labeler": "ann3"}
    assert len(found["ids"]) == found["samples"] == 60
    assert found["effect"]["tests"] == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--check", "nothing"], "there is no check 'nothing'"),
        (["--split-at", "soon"], "--split-at requires a time"),
        (["pets@1", "--against", "pets@2"], "is not an earlier one of the same line"),
    ],
)
def test_wrong_questions(flipped: Path, provreg: Run, words: list[str], message: str) -> None:
    reference = [] if words[0].startswith("pets") else ["pets"]
    ran = provreg("screen", *reference, *words)
    assert ran.code == 2
    assert message in ran.err
