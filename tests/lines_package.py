"""A package with a reader of lines, installed where a test wants it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench

# A whole reader: one line of a text file is one sample, its id what precedes the first blank.
LINES = """
import pyarrow as pa
from blake3 import blake3
from provreg.core.manifest.entry import SAMPLE
from provreg.errors import FormatError
from provreg.readers.api import ReadResult

OPTIONS = frozenset({"label"})

def settle(format_, options, before):
    return options.label or (before or {}).get("label") or "none"

def options_from_reading(reading):
    if set(reading) != {"reader", "label"}:
        raise FormatError("head.reading: not of lines")
    return reading["label"]

def _rows(paths):
    for path in paths:
        for line in path.read_bytes().splitlines():
            yield line.split(b" ", 1)

def _batch(rows):
    columns = {
        "id": [key.decode() for key, _ in rows],
        "content": [blake3(text).digest() for _, text in rows],
        "size": [len(text) for _, text in rows],
    }
    names = [field.name for field in SAMPLE]
    return pa.RecordBatch.from_pydict(
        {name: columns.get(name, [None] * len(rows)) for name in names}, schema=SAMPLE
    )

def read(paths, format_, options, context):
    table = pa.Table.from_batches([_batch(list(_rows(paths)))])
    return ReadResult(table, {"reader": "lines", "label": options}, False, False)

def files(paths, format_, options):
    return None

def stream(paths, format_, options, context):
    rows = list(_rows(paths))
    yield [text for _, text in rows], _batch(rows)
"""

Install = Callable[..., None]


def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """What installs a package with a reader of `lines`: a module and its dist-info on the path."""

    def make(code: str = LINES, *, package: str = "provreg-lines", entry: str = "") -> None:
        place = tmp_path / "site" / package
        module = package.replace("-", "_")
        information = place / f"{module}-1.2.dist-info"
        information.mkdir(parents=True)
        (place / f"{module}.py").write_text(code)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n"
        )
        (information / "entry_points.txt").write_text(
            f"[provreg.readers]\nlines = {entry or module}\n"
        )
        monkeypatch.syspath_prepend(str(place))
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
        importlib.invalidate_caches()

    return make


OF_LINES = ReadOptions(format="lines")


def lines_file(bench: Bench, data: str = "a one\nb two\n") -> Path:
    path = bench.folder / "data.txt"
    path.write_text(data)
    return path
