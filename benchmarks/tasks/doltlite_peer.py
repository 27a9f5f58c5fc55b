"""doltlite doing the comparable work. Runs in doltlite's own environment, without provreg."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from importlib import import_module

# doltlite takes the place of the SQLite library, so it must come before what loads that.
import_module("doltlite")
import sqlite3  # noqa: E402

_VERSIONS, _CHANGES, _REPEATS = 10, 20, 5


def make(path: str, entries: int) -> None:
    """A table of `entries` rows in ten versions, 20 labels changed in each."""
    database = sqlite3.connect(path)
    database.execute("create table entries (id text primary key, content blob, label text)")
    database.executemany(
        "insert into entries values (?, ?, ?)",
        (
            (f"train/class_{at * 1000 // entries:04d}/{at:08d}.jpg", os.urandom(32), "label")
            for at in range(entries)
        ),
    )
    _commit(database, 1)
    for version in range(2, _VERSIONS + 1):
        rows = (
            f"train/class_{at * 1000 // entries:04d}/{at:08d}.jpg"
            for at in range(version, entries, entries // _CHANGES)
        )
        database.executemany(
            "update entries set label = ? where id = ?",
            ((f"label-{version}", row) for row in list(rows)[:_CHANGES]),
        )
        _commit(database, version)


def diff(path: str) -> int:
    """The rows that differ between the two newest versions."""
    query = "select * from dolt_diff_entries where from_ref = 'HEAD~1' and to_ref = 'HEAD'"
    return len(sqlite3.connect(path).execute(query).fetchall())


def blame(path: str) -> int:
    """The commit that last touched each row."""
    return len(sqlite3.connect(path).execute("select * from dolt_blame_entries").fetchall())


def _commit(database: sqlite3.Connection, version: int) -> None:
    database.commit()
    database.execute("select dolt_commit('-A', '-m', ?)", (f"version {version}",)).fetchall()


def main(question: str, path: str, *rest: str) -> None:
    if question == "make":
        make(path, int(rest[0]))
        return
    ask = {"diff": diff, "blame": blame}[question]
    rows, times = ask(path), []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        rows = ask(path)
        times.append(time.perf_counter() - start)
    print(json.dumps({"seconds": statistics.median(times), "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
