"""Line 7: verifying, and taking in a successor."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import Home, Row, Side, absolute, alternate, ratio, require, run, task

LINE = 7
NEEDS = ("b3sum",)


def rows(bench: Bench) -> Iterator[Row]:
    yield from _parts(bench)
    yield from _data(bench)
    yield from _sync(bench)


def _parts(bench: Bench) -> Iterator[Row]:
    home = bench.large()
    listing = bench.scratch / "parts"
    run(home.task("part_files", home.registry, home.public, 1, listing))
    ours = {
        "verify": home.task("verify", home.registry, home.public),
        "command": home.command("verify", "data@1", "--key", home.public, "--quiet"),
    }
    program = bench.references.program("b3sum")
    reference = {}
    if program is not None:
        words = f"tr '\\n' '\\0' < {listing} | xargs -0 {program} --num-threads 1"
        reference["b3sum"] = Side(("sh", "-c", words))
    runs = alternate(ours | reference, bench.rounds)
    require(runs["verify"][-1].answer["samples"] == bench.entries, "verified samples")
    if reference:
        # Part files are stored under their digests: b3sum's output must repeat their names.
        lines = [line.split(maxsplit=1) for line in runs["b3sum"][-1].output.splitlines()]
        require(all(path.endswith(digest[2:]) for digest, path in lines), "digests of parts")
    entries = f"{bench.entries:,} entries"
    what = (f"verify signature and parts of {entries}, in process", f"`provreg verify`, {entries}")
    for name, words, target in zip(ours, what, (1.5, None), strict=True):
        if reference:
            yield ratio(LINE, words, runs[name], runs["b3sum"], target=target,
                        against="b3sum --num-threads 1 over the part files",
                        checked="part files are named as b3sum says",
                        note="parts decoded and recomputed before")  # fmt: skip
        else:
            yield absolute(LINE, words, [one.wall for one in runs[name]], "s")
    shutil.rmtree(home.folder / "cache")
    first = run(ours["verify"])
    yield absolute(LINE, f"verify {entries} for the first time", [first.answer["first"]], "s",
                   note="every part decoded, every leaf recomputed; once")  # fmt: skip


def _data(bench: Bench) -> Iterator[Row]:
    files = bench.files((100_000, 3000), (1000, 300))
    data = files.folder
    home = bench.home("data")
    run(home.ingest(data, "--label", "none", fresh=True))
    sides = {
        "verify": home.command("verify", "data", "--data", data, "--key", home.public, "--json"),
        "read": task("read_folder", data),
    }
    runs = alternate(sides, bench.many)
    require(runs["read"][-1].answer["contents"] == _published(home), "data as published")
    yield ratio(LINE, f"`provreg verify --data`, {files}", runs["verify"], runs["read"],
                against="reading and hashing the same files as ingestion does", target=1.1,
                checked="exit 0; digests as published")  # fmt: skip
    changed = bench.scratch / "changed"
    run(Side(("cp", "-r", str(data), str(changed))))
    next(path for path in sorted(changed.rglob("*")) if path.is_file()).write_bytes(b"poison")
    words = ("verify", "data", "--data", changed, "--key", home.public, "--json")
    refused = home.command(*words)
    said = run(Side(refused.command, refused.folder, refused.environment, may_exit=(4,))).output
    require('"changed"' in said, "a changed file is named")


def _published(home: Home) -> str:
    found: str = run(home.task("contents", home.registry, home.public)).answer["contents"]
    return found


def _sync(bench: Bench) -> Iterator[Row]:
    """Ten changes among many entries against twenty among a tenth of them."""
    large, small = bench.large(), bench.history()
    sides = {
        "large": large.task("sync", large.registry, large.public, 2),
        "small": small.task("sync", small.registry, small.public, 10),
    }
    runs = alternate(sides, min(3, bench.rounds))
    for side in sides:
        require(runs[side][-1].answer["damaged"] == 0, "sync takes the version in")
    yield ratio(
        LINE, f"sync of a successor of {bench.entries:,} entries, 10 changes", runs["large"],
        runs["small"], target=2, checked="taken in",
        against=f"the same of {bench.size(1_000_000, 20_000):,} entries, 20 changes",
        note="costs as its change, so far as this is not the tenfold",
    )  # fmt: skip
