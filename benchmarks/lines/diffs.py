"""Line 5: comparing versions, against DuckDB's full outer join and doltlite."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import (
    CHECKOUT,
    Home,
    Row,
    Run,
    Side,
    absolute,
    alternate,
    megabytes,
    peak,
    private_peak,
    ratio,
    require,
    run,
)
from benchmarks.harness import seconds as in_words

LINE = 5
NEEDS = ("doltlite",)
_JOIN = "DuckDB full outer join of the part files"
_TARGETS = {10: 0.05, 1000: 0.15, 3200: None, 100_000: 1.1}


def rows(bench: Bench) -> Iterator[Row]:
    home = bench.large()
    for number, changes in enumerate(bench.changes, start=2):
        runs = _compared(bench, home, number - 1, number)
        require(runs["ours"][-1].answer["changes"] == changes, f"{changes} changes")
        checked = "the same ids as the join's"
        what = f"diff of 2 x {bench.entries:,} entries, {changes:,} changes"
        target = _TARGETS.get(changes)
        if changes == bench.changes[2]:
            yield from _memory(bench, home, number - 1, number, what)
        yield ratio(LINE, what, runs["ours"], runs["join"], against=_JOIN, target=target,
                    checked=checked)  # fmt: skip
    yield _neighbours(bench)


def _sides(bench: Bench, home: Home, old: int, new: int) -> dict[str, Side]:
    listings = []
    for number in (old, new):
        listing = bench.scratch / f"parts-{number}"
        run(home.task("part_files", home.registry, home.public, number, listing))
        listings.append(listing)
    return {
        "ours": home.task("diff", home.registry, old, new),
        "join": home.task("duckdb_join", *listings),
    }


def _compared(bench: Bench, home: Home, old: int, new: int) -> dict[str, list[Run]]:
    sides = _sides(bench, home, old, new)
    runs = alternate(sides, min(3, bench.rounds))
    ours, join = (runs[name][-1].answer["ids"] for name in sides)
    require(ours == join, f"diff of versions {old} and {new}")
    return runs


def _memory(bench: Bench, home: Home, old: int, new: int, what: str) -> Iterator[Row]:
    sides = _sides(bench, home, old, new)
    runs = alternate(sides, 1)
    yield ratio(LINE, f"{what}: peak resident", runs["ours"], runs["join"], against=_JOIN, of=peak,
                note="mapped files included")  # fmt: skip
    ours, join = (private_peak(side) for side in sides.values())
    yield Row(
        LINE, f"{what}: peak private memory", ours / join, ours / join, ours / join, "x", 0.3,
        _JOIN, megabytes(ours), megabytes(join), "the same ids as the join's",
        "what the process cannot be asked to give back",
    )  # fmt: skip


def _neighbours(bench: Bench) -> Row:
    home = bench.history()
    ours = home.task("neighbours", home.registry, home.public, 9, 10)
    sides = {"ours": ours, **doltlite(bench, "diff")}
    runs = alternate(sides, min(3, bench.rounds))
    note = ""
    if "doltlite" in runs:
        require(runs["doltlite"][-1].answer["rows"] == 20, "changes by doltlite")
        note = f"doltlite {in_words(runs['doltlite'][-1].wall)}, changes without attribution"
    entries = bench.size(1_000_000, 20_000)
    return absolute(
        LINE, f"diff of neighbours through the index, {entries:,} entries, 20 changes",
        [one.wall * 1000 for one in runs["ours"]], "ms", target=20, note=note,
        checked="20 changes, as doltlite finds" if note else "20 changes",
    )  # fmt: skip


def doltlite(bench: Bench, question: str) -> dict[str, Side]:
    """doltlite asked the same of a table of as many rows, in as many versions."""
    folder = bench.references.environment("doltlite")
    if folder is None:
        return {}
    entries = bench.size(1_000_000, 20_000)
    database = bench.cache / "data" / f"doltlite-{entries}.db"
    python, script = str(folder / "bin" / "python"), CHECKOUT / "benchmarks/tasks/doltlite_peer.py"
    if not database.exists():
        made = database.with_suffix(".new")
        made.unlink(missing_ok=True)
        run(Side((python, str(script), "make", str(made), str(entries))))
        made.rename(database)
    return {"doltlite": Side((python, str(script), question, str(database)), is_task=True)}
