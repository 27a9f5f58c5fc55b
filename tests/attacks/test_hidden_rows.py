"""Attacks with text that readers divide differently: rows that some see and others do not."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.errors import InputError
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench

SIGNED = "id,text\n1,one\n2,two\n"


@pytest.mark.parametrize(
    "hidden",
    [
        # What was put behind every slice as its last row, so that an open quote would swallow it.
        'provreg: end of file,"\n3,poison\n4,poison\n',
        'provreg: end of file,"\n3,poison\nprovreg: end of file,\n',
        '"\n3,poison\n',
        '"provreg: end of file\n3,poison',
        '3,"poison',
    ],
)
def test_rows_hidden_behind_a_quote_are_refused(bench: Bench, hidden: str) -> None:
    data = bench.folder / "t.csv"
    data.write_text(SIGNED, "utf-8")
    bench.ingest(data, options=ReadOptions(id="id"))
    bench.open().verify("pets", data=[data])
    data.write_text(SIGNED + hidden, "utf-8")
    assert "poison" in str(list(csv.reader(io.StringIO(data.read_text("utf-8")))))
    with pytest.raises(InputError, match=r"quote is never closed|behind a closing quote"):
        bench.open().verify("pets", data=[data])
    with pytest.raises(InputError, match=r"quote is never closed|behind a closing quote"):
        bench.ingest(data)


@pytest.mark.parametrize(
    "changed",
    [
        SIGNED + "\n",
        SIGNED + "\r\n\r\n",
        SIGNED.replace("2,", "\n2,"),
        SIGNED.replace("1,", "\r\n1,"),
    ],
)
def test_blank_lines_that_others_read_as_rows_are_refused(bench: Bench, changed: str) -> None:
    polars = pytest.importorskip("polars", reason="polars reads rows of nulls from blank lines")
    data = bench.folder / "t.csv"
    data.write_text(SIGNED, "utf-8")
    bench.ingest(data, options=ReadOptions(id="id"))
    data.write_bytes(changed.encode())
    assert (None, None) in polars.read_csv(data).rows()
    assert len(list(csv.DictReader(io.StringIO(changed, newline="")))) == 2
    with pytest.raises(InputError, match="a line is blank") as caught:
        bench.open().verify("pets", data=[data])
    assert "delete" in str(caught.value.hint)
    with pytest.raises(InputError, match="a line is blank"):
        bench.ingest(data)


def test_empty_shard_beside_others_is_refused(bench: Bench) -> None:
    bench.write("t", {"1.csv": SIGNED.encode(), "2.csv": b""})
    with pytest.raises(InputError, match=r"2\.csv.*empty"):
        bench.ingest(bench.folder / "t", options=ReadOptions(id="id"))


BROKEN = {
    "zeros": bytes(1_000_000),
    "three": bytes(3),
    "ragged": b"a,b\n1\n",
    "late": b"a,b\n" + b"1,2\n" * 100_000 + b"1\n",
    "empty": b"",
    "utf16": "a,b\n1,2\n".encode("utf-16"),
}


@pytest.mark.parametrize(
    "names", [["ragged", "late"], pytest.param([*BROKEN], marks=pytest.mark.long)]
)
def test_process_that_met_an_unreadable_file_ends(tmp_path: Path, names: list[str]) -> None:
    """It waited for ever, or aborted, every second time: for what Arrow's parser reads ahead."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from provreg.errors import InputError\n"
        "from provreg.executors.processes import LocalProcesses\n"
        "from provreg.readers.tables.table import TableOptions, read_table\n"
        "try:\n"
        "    read_table([Path(sys.argv[1])], 'csv', TableOptions(), executor=LocalProcesses(2))\n"
        "except InputError:\n"
        "    sys.exit(2)\n"
    )
    for name in names:
        (tmp_path / f"{name}.csv").write_bytes(BROKEN[name])

    def ended(name: str) -> int:
        command = [sys.executable, "-c", script, os.fspath(tmp_path / f"{name}.csv")]
        return subprocess.run(command, check=False, timeout=60).returncode

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(ended, names * 2)) == {2}
