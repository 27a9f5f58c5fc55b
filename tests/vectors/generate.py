"""Writes all vectors: `python tests/vectors/generate.py [FOLDER]`, by default beside this file.

The same bytes every time. Parquet files that are in `parts/` already are kept as they are, since
writers put their version into them; to make one anew, delete it first.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import good
import heads
import histories
import lying
import manifests
import part_files
import revocations
import signatures
from acceptances import acceptances
from case import Case
from forge import HERE, Kept
from receipts import receipts
from signing import private_pem, public_pem
from tables import tables

KEYS = ("alice", "bob")


def all_cases(kept: Kept) -> Iterator[Case]:
    for chapter in (good, signatures, heads, histories, revocations, manifests, part_files, lying):
        yield from chapter.cases(kept)


def write(folder: Path) -> None:
    kept = Kept(HERE / "parts")
    cases = {case.name: case.to_bytes(kept) for case in all_cases(kept)}
    for name in ("cases", "tables", "receipts", "acceptances", "parts", "keys"):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        (folder / name).mkdir(parents=True)
    for name, data in cases.items():
        (folder / "cases" / f"{name}.json").write_bytes(data)
    for name, data in tables():
        (folder / "tables" / f"{name}.json").write_bytes(data)
    for name, data in receipts():
        (folder / "receipts" / f"{name}.json").write_bytes(data)
    for name, data in acceptances():
        (folder / "acceptances" / f"{name}.json").write_bytes(data)
    for name, data in kept.files.items():
        (folder / "parts" / f"{name}.parquet").write_bytes(data)
    for name in KEYS:
        (folder / "keys" / f"TEST-ONLY-{name}.pem").write_text(private_pem(name), "utf-8")
        (folder / "keys" / f"TEST-ONLY-{name}.pub").write_text(public_pem(name), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
