"""Line 4: the size of what is stored."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import Row, absolute, run

LINE = 4
NEEDS: tuple[str, ...] = ()


def rows(bench: Bench) -> Iterator[Row]:
    home = bench.large()
    found = run(home.task("sizes", home.registry, home.public)).answer
    tiny = bench.registry(1000)
    one = run(tiny.task("sizes", tiny.registry, tiny.public)).answer
    entries = f"{bench.entries:,} entries"
    checked = "verified, steps 1 to 11"
    yield absolute(LINE, f"part files of {entries}", [found["per_entry"]], "B an entry",
                   target=38.5, checked=checked)  # fmt: skip
    yield absolute(LINE, f"bundle of {entries}", [found["bundle"]], "B", target=8192,
                   checked=checked, note=f"{one['bundle']:,} B with 1,000 entries")  # fmt: skip
    yield absolute(
        LINE, f"head of {entries}", [found["head"]], "B", checked=checked,
        note=f"{(found['head'] - one['head']) / max(1, found['parts'] - one['parts']):.0f} B for"
        f" each of {found['parts']} parts; {one['head']:,} B with one part and 1,000 entries",
    )  # fmt: skip
