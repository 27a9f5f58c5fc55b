"""The benchmark command with small data: it checks its results; its times mean nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.bench import Bench
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
from benchmarks.lines import files, loading, peers
from benchmarks.references import References

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


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone without `../shared`, on a machine with neither network nor references."""
    monkeypatch.setattr("benchmarks.bench._CIFAR", tmp_path / "shared/cifar10.tar.xz")
    monkeypatch.setattr("benchmarks.references.shutil.which", lambda *_, **__: None)
    monkeypatch.setattr("benchmarks.references.find_spec", lambda _: None)

    def installed(self: References, _python: str, _folder: Path, name: str) -> bool:
        self.missing[name] = "cannot be installed: no network"
        return False

    monkeypatch.setattr(References, "_installed", installed)


@pytest.mark.usefixtures("bare")
def test_what_is_not_there_is_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for group in (peers, files, loading):
        monkeypatch.setattr(group, "rows", lambda _: iter(()))
    monkeypatch.setattr(peers, "NEEDS", ("cifar10", "b3sum", "dvc"))
    words = [f"--only={line}" for line in (1, 2, 11)]
    assert main([*words, "--cache", str(tmp_path), "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().err.splitlines()
    without = dict(line.split(": ", 1) for line in said if line.startswith("without "))
    assert without.keys() == {
        "without cifar10 (lines 1, 11)", "without b3sum (lines 1, 2)", "without dvc (line 1)",
        "without torch (line 11)", "without PIL (line 11)", "without webdataset (line 11)",
    }  # fmt: skip
    assert "shared/cifar10.tar.xz" in without["without cifar10 (lines 1, 11)"]
    assert without["without dvc (line 1)"] == "cannot be installed: no network"
    # Named first; and then everything is measured that can be.
    assert said[len(without) :] == ["line 2: files", "line 11: loading", "line 1: peers"]


@pytest.mark.usefixtures("bare")
def test_lines_without_their_data_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, tmp_path, References(tmp_path, install=False), small=False, rounds=3)
    assert [*loading.rows(bench)] == []
    monkeypatch.setattr("benchmarks.references.find_spec", lambda _: True)
    monkeypatch.setattr(Bench, "data", lambda *_: tmp_path)
    loaded = []
    monkeypatch.setattr(loading, "_images", lambda *words, **_: loaded.append(words[2]) or ())
    for name in ("_shards", "_table", "_large"):
        monkeypatch.setattr(loading, name, lambda *_: ())
    monkeypatch.setattr(loading, "_swapped", lambda _: None)
    assert [*loading.rows(bench)] == [None]
    assert loaded == ["JPEGs of 100 KB"]


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
