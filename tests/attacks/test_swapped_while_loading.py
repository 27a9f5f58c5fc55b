"""Between check and use: whatever happens to the files meanwhile, no changed byte gets through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provreg
from benchmarks.tasks.swapping import under_attack
from provreg.executors.processes import InProcess
from provreg.readers.tables import rows as table_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def opened(bench: Any, data: Path) -> provreg.VerifiedSamples:
    return provreg.load("pets@1", data=data, key=bench.key_file(), registry=bench.registry)


@pytest.mark.parametrize("size", [100, 300_000])
def test_a_file_swapped_between_open_read_and_use_never_gets_through(bench: Any, size: int) -> None:
    good = os.urandom(size)
    data = bench.write("pets", {"cat/1.jpg": good})
    bench.ingest(data)
    samples = opened(bench, data)
    found = under_attack(lambda: samples.read(0)[1], data / "cat/1.jpg", good, seconds=0.5)
    assert found["through"] == 0
    assert found["good"] > 0
    assert found["refused"] > 0


def test_the_benchmark_of_the_attack_tells_that_nothing_came_through(bench: Any) -> None:
    data = bench.write("data", {"cat/1.jpg": b"good" * 1000})
    bench.ingest(data, name="data")
    arguments = (bench.registry, bench.key_file(), data, "0.5")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", "swapped_while_loading", *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
    )
    found = json.loads(ran.stdout)
    assert found.pop("through") == 0
    assert all(found[name] > 0 for name in ("good", "refused"))


def test_an_attack_on_a_loader_that_checks_first_and_reads_again_is_seen(
    bench: Any, tmp_path: Path
) -> None:
    """The attack is a real one: it gets through to who does what provreg does not."""
    good = os.urandom(1000)
    path = tmp_path / "1.jpg"
    path.write_bytes(good)

    def once() -> bytes:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(file, len(good))
        finally:
            os.close(file)

    def read() -> bytes:
        try:
            if once() == good:
                return once()
        except OSError:
            pass
        raise provreg.SampleError("refused")

    assert under_attack(read, path, good, seconds=0.5)["through"] > 0


def test_a_file_cut_short_while_it_is_read_never_gets_through(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bench.write("pets", {"cat/1.jpg": b"good" * 1000})
    bench.ingest(data)
    samples = opened(bench, data)

    def read(file: int, size: int) -> bytes:
        os.truncate(data / "cat/1.jpg", 10)
        return original(file, size)

    original = os.read
    monkeypatch.setattr(os, "read", read)
    with pytest.raises(provreg.SampleError, match="differ from the signed ones"):
        samples[0]


@pytest.mark.parametrize("kind", ["pipe", "device", "link out", "folder", "endless"])
def test_what_is_put_in_a_files_place_never_loads(bench: Any, kind: str) -> None:
    data = bench.write("pets", {"cat/1.jpg": b"good" * 1000})
    bench.ingest(data)
    samples = opened(bench, data)
    path = data / "cat/1.jpg"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        try:
            os.mknod(path, 0o020666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("making a device needs root")
    elif kind == "link out":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(provreg.SampleError) as caught:
        samples[0]
    assert caught.value.sample == "cat/1.jpg"


def test_a_class_folder_swapped_for_a_link_outside_never_loads(bench: Any, tmp_path: Path) -> None:
    data = bench.write("pets", {"cat/1.jpg": b"good", "dog/2.jpg": b"good too"})
    bench.ingest(data)
    outside = bench.write("outside", {"1.jpg": b"good"})
    samples = opened(bench, data)
    (data / "cat").rename(tmp_path / "away")
    (data / "cat").symlink_to(outside)
    with pytest.raises(provreg.SampleError, match="leaves the folder"):
        samples[0]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_in_place_write_with_restored_mtime_while_data_are_verified_is_noticed(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was read before the write is as signed; what lies there when verifying ends is not."""
    path, rows = tmp_path / name, [{"text": f"text {number}"} for number in range(9)]
    if name == "t.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, compression="none", use_dictionary=False)
    elif name == "t.csv":
        path.write_text("text\n" + "".join(f"{row['text']}\n" for row in rows))
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    bench.ingest(path, name="d")
    monkeypatch.setattr("provreg.flows.reading.samples.local_processes", InProcess)
    samples_of = table_rows.samples_of

    def write_meanwhile(*arguments: Any, **more: Any) -> Any:
        status, data = path.stat(), path.read_bytes()
        with path.open("r+b") as file:
            file.write(data.replace(b"text 7", b"evil 7"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return samples_of(*arguments, **more)

    monkeypatch.setattr(table_rows, "samples_of", write_meanwhile)
    with pytest.raises(provreg.InputError, match="changed while"):
        bench.open().verify("d", data=[path])
