"""Readers of other packages whose payloads are not what they say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lines_package import LINES, OF_LINES, Install, lines_file

import provreg
import provreg.loaders.arrow
from provreg.errors import InputError, NotTrustedError

if TYPE_CHECKING:
    from tests.conftest import Bench

YIELD = "    yield [text for _, text in rows], _batch(rows)\n"
# The lines as rows of a table, and as members of an archive; `hashed` says what they hash to.
KINDS = """
from provreg.core.rows.arrow_types import columns_from_arrow
from provreg.core.rows.row import hash_rows

def _rows_of(rows):
    return pa.RecordBatch.from_pydict({"text": [text.decode() for _, text in rows]})

def _members_of(rows):
    return [{"txt": text} for _, text in rows]

def _batch(rows):
    table = _rows_of(rows)
    if KIND == "members":
        table = pa.RecordBatch.from_pydict({"txt": [text for _, text in rows]})
    content, size = hash_rows(table, columns_from_arrow(table.schema))
    columns = {"id": pa.array([key.decode() for key, _ in rows]), "content": content, "size": size}
    return pa.RecordBatch.from_arrays(
        [columns.get(f.name, pa.nulls(len(rows), f.type)) for f in SAMPLE], schema=SAMPLE
    )
"""
CODE = {
    "bytes": LINES,
    "rows": LINES.replace("def read(", f"KIND = 'rows'{KINDS}\ndef read(").replace(
        "[text for _, text in rows], _batch", "_rows_of(rows), _batch"
    ),
    "members": LINES.replace("def read(", f"KIND = 'members'{KINDS}\ndef read(").replace(
        "[text for _, text in rows], _batch", "_members_of(rows), _batch"
    ),
}
# As if the digests stood in an index beside the data: what is read of the data changed since.
LIES = {
    "bytes": ("[text for _, text in rows], _b", "[b'EVIL' for _ in rows], _b"),
    "rows": ("_rows_of(rows), _b", "_rows_of([(key, b'EVIL') for key, _ in rows]), _b"),
    "members": ("_members_of(rows), _b", "_members_of([(key, b'EVIL') for key, _ in rows]), _b"),
}


def loaded(bench: Bench) -> provreg.VerifiedSamples:
    data = bench.folder / "data.txt"
    return provreg.load("pets", data=data, key=bench.key_file(), registry=bench.registry)


def publish_then(bench: Bench, install: Install, sound: str, evil: str) -> None:
    """A version by the sound reader, then another one of the same package."""
    install(sound)
    bench.ingest(lines_file(bench), options=OF_LINES)
    place = bench.folder / "site/provreg-lines/provreg_lines.py"
    place.write_text(evil)
    __import__("sys").modules.pop("provreg_lines", None)


@pytest.mark.parametrize("kind", CODE)
def test_sound_payloads_of_every_kind_load(bench: Bench, install: Install, kind: str) -> None:
    install(CODE[kind])
    bench.ingest(lines_file(bench), options=OF_LINES)
    wanted = {"bytes": b"one", "rows": {"text": "one"}, "members": {"txt": b"one"}}[kind]
    assert {one.id: one.payload for one in loaded(bench)}["a"] == wanted
    if kind == "rows":
        table = provreg.loaders.arrow.table(loaded(bench), signed=("id",))
        assert table.to_pylist() == [{"text": "one", "id": "a"}, {"text": "two", "id": "b"}]


@pytest.mark.parametrize("kind", CODE)
def test_payloads_that_are_not_of_the_digests_beside_them_do_not_load(
    bench: Bench, install: Install, kind: str
) -> None:
    old, new = LIES[kind]
    assert old in CODE[kind]
    publish_then(bench, install, CODE[kind], CODE[kind].replace(old, new))
    with pytest.raises(InputError, match=r"'lines' .* other bytes of sample 'a'") as caught:
        list(loaded(bench))
    assert caught.value.sample == "a"


@pytest.mark.parametrize(
    "handed_on",
    [
        "yield [text for _, text in rows[1:] + rows[:1]], _batch(rows)",  # out of step
        "yield [text for _, text in rows] + [b'EVIL'], _batch(rows)",
        "yield [text for _, text in rows][:-1], _batch(rows)",
        "yield (text for _, text in rows), _batch(rows)",
        "yield [bytearray(text) for _, text in rows], _batch(rows)",
        "yield [memoryview(text) for _, text in rows], _batch(rows)",
        "yield [text.decode() for _, text in rows], _batch(rows)",
        "yield [{'txt': bytearray(text)} for _, text in rows], _batch(rows)",
        "yield [text for _, text in rows], _batch(rows).select(['id', 'content'])",
        "yield [text for _, text in rows], pa.Table.from_batches([_batch(rows)])",
        "yield None, None",
        "yield None",
        "yield [text for _, text in rows], _without(_batch(rows), 'id')",
        "yield [text for _, text in rows], _without(_batch(rows), 'content')",
        "yield [text for _, text in rows], _without(_batch(rows), 'size')",
        "yield [text for _, text in rows[:1]], _batch(rows[:1]); raise ValueError('later')",
        "yield [text for _, text in rows[:1]], _batch(rows[:1]); raise SystemExit(0)",
        "yield pa.RecordBatch.from_pydict({'': ['x', 'y']}), _batch(rows)",
        "return 5",
        "raise KeyError('x')",
    ],
)
def test_what_is_not_as_streams_promise_is_one_clear_error(
    bench: Bench, install: Install, handed_on: str
) -> None:
    without = """
def _without(batch, name):
    field, place = SAMPLE.field(name), SAMPLE.get_field_index(name)
    return batch.set_column(place, field, pa.nulls(len(batch), field.type))
"""
    evil = LINES.replace(YIELD, f"    {handed_on}\n") + without
    if handed_on == "return 5":
        evil = evil.replace("    rows = list(_rows(paths))\n    return 5", "    return 5")
    publish_then(bench, install, LINES, evil)
    with pytest.raises(InputError, match="the reader 'lines' of the package 'provreg-lines'"):
        list(loaded(bench))


FILES = """
class Files:
    def __init__(self, paths):
        self.found = {key.decode(): bytearray(text) for key, text in _rows(paths)}
    def read(self, sample, *, limit):
        return bytes(self.found[sample])
    def close(self):
        pass

def files(paths, format_, options):
    return Files(paths)
"""


def test_bytes_that_the_reader_can_change_after_they_were_hashed_do_not_load(
    bench: Bench, install: Install
) -> None:
    sound = LINES + FILES
    install(sound)
    bench.ingest(lines_file(bench), options=OF_LINES)
    assert [one.payload for one in loaded(bench)] == [b"one", b"two"]
    place = bench.folder / "site/provreg-lines/provreg_lines.py"
    for handed_on in (
        "self.found[sample]",
        "memoryview(self.found[sample])",
        "'one'",
        "None",
        "1/0",
    ):
        place.write_text(sound.replace("bytes(self.found[sample])", handed_on))
        __import__("sys").modules.pop("provreg_lines", None)
        with pytest.raises(NotTrustedError, match="the reader 'lines'") as caught:
            loaded(bench)[0]
        assert caught.value.sample == "a"


def test_rows_that_the_reader_changes_after_they_were_hashed_load_as_signed(
    bench: Bench, install: Install
) -> None:
    """As rows of a mapped file are, which somebody writes to."""
    mapped = (
        CODE["rows"]
        .replace(
            "def read(",
            """
HELD = []

def _mapped(rows):
    texts = bytearray(b"".join(text for _, text in rows))
    HELD.append(texts)
    ends = pa.array([0, 3, 6], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(texts)])
    return pa.RecordBatch.from_arrays([column], ["text"])

def read(""",
        )
        .replace("yield _rows_of(rows), _b", "yield _mapped(rows), _b")
    )
    install(mapped)
    bench.ingest(lines_file(bench), options=OF_LINES)
    for batch in loaded(bench).batches():
        held: Any = __import__("provreg_lines").HELD[0]
        held[:] = b"EVIL!!"
        payloads: Any = batch.payloads
        assert payloads.to_pydict() == {"text": ["one", "two"]}


def test_digests_by_another_reader_are_not_remembered_as_provregs_own(
    bench: Bench, install: Install
) -> None:
    """What is in the cache is not read again, and would be signed unseen."""
    stats = """
import os, time
import numpy as np
from provreg.readers.api import FileStats

def _stats(paths):
    one = os.stat(paths[0])
    row = (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
    lie = np.full((1, 32), 7, np.uint8)
    return FileStats(np.array([row], np.uint64), lie, time.time_ns() + 10**12)

def read("""
    looks = "\n    assert context.known_files is context.known_rows is None\n    table = pa"
    install(
        LINES.replace("def read(", stats)
        .replace("\n    table = pa", looks)
        .replace("False, False)", "False, False, files=_stats(paths))")
    )
    folder = bench.folder / "photos"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat/a.txt").write_text("a one\n")
    bench.ingest(folder / "cat/a.txt", options=OF_LINES, name="lines")
    bench.ingest(folder, name="photos")
    bench.open().verify("photos", data=[folder])
