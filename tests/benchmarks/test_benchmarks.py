"""The benchmark command with small data: it checks its results; its times mean nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.harness import (
    BenchmarkError,
    Row,
    Run,
    Side,
    absolute,
    alternate,
    rate,
    ratio,
    require,
    run,
)

ROOT = Path(__file__).parents[2]


def python(code: str) -> Side:
    return Side((sys.executable, "-c", code))


def took(wall: float, peak: int = 0) -> Run:
    return Run(wall, wall, peak, "")


@pytest.mark.parametrize("line", [3, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 5))])
def test_results_are_those_of_the_references(line: int, tmp_path: Path) -> None:
    words = ["--small", "--only", str(line), "--cache", str(tmp_path), "--output", str(tmp_path)]
    assert main(words) == 0
    found = json.loads((tmp_path / "benchmarks.json").read_text("utf-8"))
    assert found["wrong"] == {}
    assert found["rows"]
    assert {row["line"] for row in found["rows"]} == {line}
    assert all(row["verdict"] == "-" for row in found["rows"]), "small data have no targets"
    assert found["rows"][0]["what"] in (tmp_path / "benchmarks.md").read_text("utf-8")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_verified_loaders_hand_out_what_plain_ones_do(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    test_results_are_those_of_the_references(11, tmp_path)


def test_a_wrong_result_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.digests.of_b3sum", lambda _output: "another")
    monkeypatch.setattr("benchmarks.digests.of_files", lambda _folder: "another")
    words = ["--small", "--only", "2", "--cache", str(tmp_path), "--output", str(tmp_path)]
    assert main(words) == 1
    found = json.loads((tmp_path / "benchmarks.json").read_text("utf-8"))
    assert "digests" in found["wrong"]["line 2"]
    assert found["rows"] == []


def test_sides_take_turns_after_one_run_that_only_warms(tmp_path: Path) -> None:
    order = tmp_path / "order"
    order.touch()

    def side(name: str) -> Side:
        return python(f"open({str(order)!r}, 'a').write({name!r})")

    runs = alternate({"a": side("a"), "b": side("b")}, 3)
    assert order.read_text() == "ab" * 4
    assert [len(runs["a"]), len(runs["b"])] == [3, 3]


MEASURED = """
import sys
from benchmarks.harness import Side, run

used = run(Side((sys.executable, "-c", "x = bytearray(200_000_000); sum(range(3_000_000))")))
idle = run(Side((sys.executable, "-c", "import time; time.sleep(0.3)")))
assert used.peak > 200_000_000 > idle.peak, (used, idle)
assert idle.wall > 0.3 > idle.cpu, idle
"""


def test_cpu_and_memory_are_those_of_the_command() -> None:
    # In a process of its own: a child's peak begins at its starter's, and this one is large.
    subprocess.run([sys.executable, "-c", MEASURED], cwd=ROOT, check=True)


def test_a_failing_command_is_named() -> None:
    with pytest.raises(BenchmarkError, match="broken on purpose"):
        run(python("raise SystemExit('broken on purpose')"))


def test_a_ratio_is_the_median_over_the_rounds() -> None:
    ours, theirs = [took(2), took(6), took(9)], [took(1), took(2), took(1)]
    row = ratio(2, "it", ours, theirs, against="theirs", target=2.5)
    assert (row.measured, row.low, row.high) == (3, 2, 9)
    assert row.verdict == "MISSED"
    assert absolute(2, "it", [1, 2, 9], "s", target=2).verdict == "met"


@pytest.mark.parametrize(("target", "verdict"), [(0.5, "met"), (0.51, "MISSED")])
def test_a_rate_is_to_be_at_least_its_target(target: float, verdict: str) -> None:
    row = rate(2, "it", [2, 4, 9], [1, 3, 1], 100, against="theirs", target=target)
    assert (row.measured, row.low, row.high) == (0.5, 1 / 9, 0.75)
    assert (row.ours, row.theirs, row.verdict) == ("25/s", "100/s", verdict)
    assert f"| ≥ {target} x |" in report.as_markdown([row], {})


def test_results_that_differ_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="digests"):
        require(False, "digests")


def test_the_table_shows_misses_and_escapes_cells() -> None:
    rows = [Row(5, "a|b", 0.06, 0.05, 0.07, "x", 0.05), Row(2, "c", 1, 1, 1, "s")]
    text = report.as_markdown(rows, {"machine": {"processor": "one"}})
    first, second = text.splitlines()[2:4]
    assert first.startswith("| 2 | c |")
    assert "a\\|b" in second
    assert "**MISSED**" in second
    assert "0 of 1 targets met." in text
