"""Part files: what is written is read, and anything else is refused with our errors."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.core.bounds import FIRST_TIME, LAST_TIME
from provreg.core.entry import ENTRY
from provreg.core.leaf import leaves
from provreg.errors import FormatError
from provreg.store.parts import read_part, write_part

NAME = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)
DIGEST = st.none() | st.binary(min_size=32, max_size=32)
TIME = st.none() | st.integers(FIRST_TIME, LAST_TIME)
ROW = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
        "content": st.binary(min_size=32, max_size=32),
        "size": st.integers(0, 2**64 - 1),
        "label": NAME,
        "label_digest": DIGEST,
        "source": st.text(st.characters(codec="utf-8"), max_size=8),
        "labeler": NAME,
        "labeled_at": TIME,
        "split": NAME,
        "delivery": DIGEST,
        "annotations": st.none()
        | st.lists(
            st.fixed_dictionaries({"label": NAME, "labeler": NAME, "labeled_at": TIME}), max_size=3
        ),
        "uri": NAME,
        "content_sha256": DIGEST,
        "attrs": NAME,
    }
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ENTRY)


def entries(count: int) -> pa.Table:
    return table(
        [
            {"id": f"{n:05}", "content": blake3(b"%d" % n).digest(), "size": n, "source": "s",
             "label": f"l{n % 7}"}
            for n in range(count)
        ]
    )  # fmt: skip


SOUND = entries(20)
FILE = write_part(SOUND)


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=6))
def test_entries_read_back_as_written(rows: list[dict[str, Any]]) -> None:
    written = table(rows)
    read = read_part(write_part(written), rows=len(rows))
    assert read.schema.equals(ENTRY)
    assert read.to_pylist() == written.to_pylist()
    assert leaves(read) == leaves(written)


def test_more_rows_than_a_batch_read_back_as_one_chunk() -> None:
    written = entries(5000)
    read = read_part(write_part(written), rows=5000)
    assert read.to_pylist() == written.to_pylist()
    assert {column.num_chunks for column in read.columns} == {1}


def test_what_the_file_says_of_its_writer_does_not_matter() -> None:
    """Other encodings and statistics, the same entries."""
    sink = io.BytesIO()
    pq.write_table(
        pq.read_table(io.BytesIO(FILE)), sink, compression="none", use_dictionary=False,
        write_statistics=False, store_schema=False,
    )  # fmt: skip
    assert sink.getvalue() != FILE
    assert leaves(read_part(sink.getvalue(), rows=20)) == leaves(SOUND)


@pytest.mark.parametrize("rows", [0, 19, 21, 2**18])
def test_another_number_of_rows_is_refused(rows: int) -> None:
    with pytest.raises(FormatError, match="rows, its head says"):
        read_part(FILE, rows=rows)


def test_two_row_groups_are_refused() -> None:
    sink = io.BytesIO()
    plain = pq.read_table(io.BytesIO(FILE))
    pq.write_table(plain, sink, row_group_size=10, store_schema=False)
    with pytest.raises(FormatError):
        read_part(sink.getvalue(), rows=20)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -8, -1])
def test_a_truncated_file_is_refused(keep: int) -> None:
    with pytest.raises(FormatError):
        read_part(FILE[:keep], rows=20)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_part_reader(data: bytes) -> None:
    for planted in (data, b"PAR1" + data + b"PAR1", FILE[:-8] + data):
        with pytest.raises(FormatError):
            read_part(planted, rows=20)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(FILE) - 1), st.integers(0, 7))
def test_a_changed_bit_reads_as_our_error_or_as_entries(place: int, bit: int) -> None:
    """The digest is checked before; this is about signers who sign such a file."""
    data = bytearray(FILE)
    data[place] ^= 1 << bit
    try:
        read = read_part(bytes(data), rows=20)
    except FormatError:
        return
    assert read.schema.equals(ENTRY)
    assert read.num_rows == 20
    leaves(read)


def test_an_embedded_schema_does_not_change_the_columns() -> None:
    """Arrow's own schema in a file can ask for other types in memory."""
    plain = pq.read_table(io.BytesIO(FILE))
    for kind in (pa.large_string(), pa.string_view()):
        sink = io.BytesIO()
        uri = plain.schema.get_field_index("uri")
        other = plain.set_column(uri, pa.field("uri", kind), plain["uri"].cast(kind))
        pq.write_table(other, sink, store_schema=True)
        with pytest.raises(FormatError, match="columns of an entry"):
            read_part(sink.getvalue(), rows=20)
