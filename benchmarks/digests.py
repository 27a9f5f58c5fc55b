"""Results of the reference hashers, to compare with ours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Side


def b3sum(program: str, folder: Path, threads: int) -> Side:
    """`b3sum` over every file below `folder`, as many names at once as a command may have."""
    words = f"find . -type f -print0 | xargs -0 {program} --num-threads {threads}"
    return Side(("sh", "-c", words), folder=folder)


def parallel_b3sum(program: str, folder: Path) -> Side:
    """Two `b3sum` of one thread each, a thousand files at a time."""
    words = f"find . -type f -print0 | xargs -0 -P2 -n1000 {program} --num-threads 1"
    return Side(("sh", "-c", words), folder=folder)


def of_b3sum(output: str) -> str:
    """SHA-256 over the digests that b3sum printed, in the order of the files' paths."""
    lines = (line.split(maxsplit=1) for line in output.splitlines())
    by_path = sorted((path.removeprefix("./").encode(), digest) for digest, path in lines)
    return _joined([bytes.fromhex(digest) for _, digest in by_path])


def of_files(folder: Path) -> str:
    """The same, hashed here one after the other: slow, plain and independent of our readers."""
    from blake3 import blake3

    paths = sorted(
        (path.relative_to(folder).as_posix().encode(), path)
        for path in folder.rglob("*")
        if path.is_file()
    )
    return _joined([blake3(path.read_bytes()).digest() for _, path in paths])


def _joined(digests: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(digests)).hexdigest()
