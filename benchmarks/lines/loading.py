"""Line 11: loading for training (issue "Verified loaders"), against the same loading unverified."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import CIFAR10, Bench
from benchmarks.harness import Home, Row, absolute, alternate, rate, ratio, require, run, task

LINE = 11
_PACKAGES = ("torch", "PIL", "webdataset")
NEEDS = (*_PACKAGES, CIFAR10)
_PLAIN = "ImageFolder, written plainly"
_SAME = "same tensors and labels, in order"
_NOTE = "torchvision is not to be had beside this torch"
# Many short passes: what else the machine does then falls on both sides alike.
_PASSES = 5


def rows(bench: Bench) -> Iterator[Row]:
    if not all(bench.has(package) for package in _PACKAGES):
        return
    photographs = bench.data("photographs", bench.size(600, 40))
    if bench.small:
        yield from _images(bench, photographs, "images", 40, 0.97, workers=(0, 2))
        yield from _shards(bench, photographs, 40)
    elif (cifar := bench.cifar()) is not None:
        yield from _images(bench, cifar, "CIFAR-10 JPEGs", 4000, 0.97, workers=(0, 2))
        yield from _shards(bench, cifar, 4000)
    yield from _images(bench, photographs, "JPEGs of 100 KB", bench.size(120, 40), 0.98,
                       workers=(0,))  # fmt: skip
    yield from _table(bench)
    yield from _large(bench)
    yield _swapped(bench)


def _images(
    bench: Bench, data: Path, name: str, count: int, target: float, *, workers: tuple[int, ...]
) -> Iterator[Row]:
    home = bench.home("images")
    run(home.ingest(data, fresh=True))
    given = (data, home.registry, home.public, count)
    for number in workers:
        found = run(home.task("image_passes", *given, number, _PASSES * bench.rounds)).answer
        require(found["same"] and found["samples"] == [count], f"{name}, {number} workers")
        yield rate(LINE, f"load {count:,} {name}, {number} workers", found["verified"],
                   found["plain"], count, against=_PLAIN, target=target, checked=_SAME,
                   note=_NOTE)  # fmt: skip
    if len(workers) > 1:
        yield _first_batch(bench, home, data, name)


def _first_batch(bench: Bench, home: Home, data: Path, name: str) -> Row:
    sides = {
        "ours": home.task("first_verified_batch", data, home.registry, home.public),
        "plain": task("first_plain_batch", data),
    }
    runs = alternate(sides, bench.rounds)
    ours, plain = (runs[side][-1].answer for side in sides)
    require(ours["digest"] == plain["digest"], f"first batch of {name}")
    return ratio(LINE, f"first batch of {ours['samples']:,} {name}, imports left out",
                 runs["ours"], runs["plain"], against=_PLAIN, target=1, checked=_SAME,
                 note="verified before, steps 1 to 11 again")  # fmt: skip


def _shards(bench: Bench, images: Path, count: int) -> Iterator[Row]:
    folder = bench.data("shards", images.name, count)
    home = bench.home("shards")
    run(home.ingest(folder, "--format", "webdataset", fresh=True))
    given = (folder, home.registry, home.public, _PASSES * bench.rounds)
    found = run(home.task("shard_passes", *given)).answer
    require(found["same"] and found["samples"] == [count], "samples of shards")
    yield rate(LINE, f"load {count:,} JPEGs from tar shards", found["verified"], found["plain"],
               count, against="webdataset", target=0.95, checked=_SAME)  # fmt: skip


def _table(bench: Bench) -> Iterator[Row]:
    count = bench.size(1_000_000, 5000)
    path = bench.data("rows", "parquet", count, 250) / "rows.parquet"
    home = bench.home("table")
    run(home.ingest(path, "--id", "key", "--label", "class", fresh=True))
    read = home.task("read_rows_verified", path, home.registry, home.public)
    verify = home.command("verify", "data", "--data", path, "--key", home.public)

    def forget() -> None:
        shutil.rmtree(home.folder / "cache" / "rows", ignore_errors=True)

    def verify_anew() -> None:
        forget()
        run(verify)

    sides = {
        "unknown": replace(read, before=forget),
        "verified": replace(read, before=verify_anew),
        "plain": task("read_rows_plain", path),
    }
    runs = alternate(sides, min(3, bench.rounds))
    unknown, verified, plain = ([one.answer for one in runs[side]] for side in sides)
    require(all(one["texts"] == plain[0]["texts"] for one in unknown + verified), "texts of rows")
    require(all(one["rows"] == count for one in unknown + verified), "number of rows")
    passes = (
        ("first pass", unknown, "first"),
        ("first pass after verify --data", verified, "first"),
        ("later pass", unknown, "seconds"),
    )
    for which, ours, key in passes:
        yield rate(LINE, f"read {count:,} rows of text in batches, {which}",
                   [one[key] for one in ours], [one[key] for one in plain], count,
                   against="pyarrow in batches", target=0.8,
                   checked="same texts, in order")  # fmt: skip


def _large(bench: Bench) -> Iterator[Row]:
    home = bench.large()
    data = bench.data("known_files", bench.entries)
    given = (home.registry, home.public, data)
    runs = alternate({"open": home.task("open_for_training", *given)}, min(3, bench.rounds))["open"]
    require(runs[-1].answer["samples"] == bench.entries, "samples opened")
    yield absolute(LINE, f"open {bench.entries:,} samples and read one, CPU, imports left out",
                   [one.answer["cpu"] for one in runs], "s", target=1,
                   checked="the sample is as signed", note="checked once before")  # fmt: skip
    tiny = bench.registry(1000)
    few = bench.data("known_files", 1000)
    # What is spawned takes seconds to start.
    for start in ("fork",) if bench.small else ("fork", "spawn"):
        many = run(home.task("worker_memory", *given, start)).answer
        base = run(tiny.task("worker_memory", tiny.registry, tiny.public, few, start)).answer
        more = bench.entries - base["samples"]
        yield absolute(
            LINE, f"private memory of a worker ({start}) for each of {bench.entries:,} samples",
            [(many["private"] - base["private"]) / more], "B", target=2,
            checked=f"{many['loaded']:,} samples loaded from all parts",
            note=f"{many['private'] / 1e6:.0f} MB, with 1,000 samples {base['private'] / 1e6:.0f}",
        )  # fmt: skip


def _swapped(bench: Bench) -> Row:
    """Of no line's time: what a minute of attacks on the loader gets through."""
    seconds = bench.size(60, 1)
    folder = bench.scratch / "attacked"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(bytes(range(256)) * 12)
    home = bench.home("swapped")
    run(home.ingest(folder, "--label", "none", fresh=True))
    given = (home.registry, home.public, folder, seconds)
    found = run(home.task("swapped_while_loading", *given)).answer
    require(found["good"] > 0 and found["refused"] > 0, "the attack meets the loader")
    return absolute(
        LINE, f"{seconds} s of files swapped while they are loaded: changed ones handed on",
        [found["through"]], "files", target=0, checked="bytes compared with the signed ones",
        note=f"{found['swaps']:,} swaps, {found['good']:,} loads, {found['refused']:,} refused",
    )  # fmt: skip
