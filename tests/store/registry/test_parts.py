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

from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.limits import FIRST_TIME, LAST_TIME
from provreg.errors import FormatError
from provreg.store.registry.parts import read_part, write_part

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


def test_dictionaries_that_end_early_read_back() -> None:
    """Writers go on in PLAIN where a dictionary grows too large, also inside of annotations."""
    said = [f"{n % 700:0>200}" for n in range(3000)]
    place = ENTRY.get_field_index("annotations")
    notes = [[{"label": text, "labeler": text}, {"label": None}] for text in said]
    written = entries(3000)
    for name, column in (
        ("uri", said),
        ("attrs", said),
        ("id", sorted(f"{n:0>200}" for n in range(3000))),
    ):
        at = ENTRY.get_field_index(name)
        written = written.set_column(at, ENTRY.field(name), pa.array(column))
    written = written.set_column(
        place, ENTRY.field(place), pa.array(notes, ENTRY.field(place).type)
    )
    plain = pq.read_table(io.BytesIO(write_part(written)))
    data = parquet(plain, dictionary_pagesize_limit=20_000, data_page_size=10_000)
    read = read_part(data, rows=3000)
    assert read.to_pylist() == written.to_pylist()
    assert {column.num_chunks for column in read.columns} == {1}


def test_a_part_that_no_reader_takes_is_not_written() -> None:
    rows = 2**15 + 2**12
    uris = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["u" * 8192])
    place = ENTRY.get_field_index("uri")
    written = entries(rows).set_column(place, ENTRY.field(place), uris.cast(pa.string()))
    with pytest.raises(FormatError, match="unfolds to more"):
        write_part(written)


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


@settings(max_examples=100, deadline=None)
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


PLAIN = pq.read_table(io.BytesIO(FILE))


def parquet(written: pa.Table = PLAIN, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(written, sink, **{"compression": "zstd", "store_schema": False} | options)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("uri", pa.large_string()), ("uri", pa.string_view()), ("source", pa.large_string()),
     ("uri", pa.dictionary(pa.int32(), pa.string())), ("label_digest", pa.binary(32)),
     ("labeled_at", pa.timestamp("us", "Asia/Tokyo"))],
    ids=str,
)  # fmt: skip
def test_hostile_arrow_schema_in_a_part_file_changes_nothing(name: str, kind: pa.DataType) -> None:
    """Arrow's own schema in a file asks for other types in memory, and Arrow gives them."""
    place = PLAIN.schema.get_field_index(name)
    field = PLAIN.schema.field(name).with_type(kind).with_metadata({"PARQUET:field_id": "7"})
    other = PLAIN.set_column(place, field, PLAIN[name].cast(kind))
    other = other.replace_schema_metadata({"pandas": '{"index_columns": ["id"]}', "x": "y"})
    data = parquet(other, store_schema=True)
    read = read_part(data, rows=20)
    assert read.schema.equals(ENTRY)
    assert leaves(read) == leaves(SOUND)


@pytest.mark.parametrize("codec", ["snappy", "gzip", "brotli", "lz4"])
def test_part_file_in_a_codec_that_other_readers_may_lack_is_refused(codec: str) -> None:
    with pytest.raises(FormatError, match="is compressed by"):
        read_part(parquet(compression=codec), rows=20)


@pytest.mark.parametrize(
    ("column", "encoding"),
    [("uri", "DELTA_LENGTH_BYTE_ARRAY"), ("content", "BYTE_STREAM_SPLIT"),
     ("content", "DELTA_BYTE_ARRAY"),
     ("attrs", "DELTA_BYTE_ARRAY"), ("labeled_at", "DELTA_BINARY_PACKED"),
     ("size", "BYTE_STREAM_SPLIT"),
     ("annotations.list.element.label", "DELTA_LENGTH_BYTE_ARRAY")],
)  # fmt: skip
def test_part_file_in_an_encoding_that_other_readers_may_lack_is_refused(
    column: str, encoding: str
) -> None:
    data = parquet(use_dictionary=False, column_encoding={column: encoding})
    with pytest.raises(FormatError, match="which no part file has"):
        read_part(data, rows=20)


def test_encodings_that_part_files_may_have_are_read() -> None:
    for options in (
        {"use_dictionary": True},
        {"use_dictionary": False, "compression": "none"},
        {"use_dictionary": False, "column_encoding": {
            "id": "DELTA_BYTE_ARRAY", "size": "DELTA_BINARY_PACKED"}},
        {"write_page_index": True, "write_statistics": True, "data_page_size": 64},
        {"version": "2.4", "write_page_checksum": True},
    ):  # fmt: skip
        assert leaves(read_part(parquet(**options), rows=20)) == leaves(SOUND), options


def test_pages_of_the_second_version_are_refused() -> None:
    with pytest.raises(FormatError, match="page of kind 3"):
        read_part(parquet(data_page_version="2.0"), rows=20)


def test_column_of_another_logical_type_is_refused() -> None:
    """Texts that call themselves JSON would be texts to one reader, and not to another."""
    texts = pa.ExtensionArray.from_storage(pa.json_(), pa.nulls(20, pa.string()))
    place = PLAIN.schema.get_field_index("attrs")
    with pytest.raises(FormatError, match="columns of an entry"):
        read_part(parquet(PLAIN.set_column(place, "attrs", texts)), rows=20)


def test_page_that_lies_about_itself_is_refused() -> None:
    """What the footer says of encodings is only its word: the page's own header is looked at."""
    data = parquet(use_dictionary=False)
    meta = pq.read_metadata(io.BytesIO(data)).row_group(0).column(1)
    at = meta.data_page_offset
    # Of the page's header: kind, sizes, then the data page's values and its encoding.
    head = data[at : at + 24]
    place = head.index(b"\x15\x00", 8) + 1
    for encoding in (2, 3, 4, 6, 9):
        lie = bytearray(data)
        lie[at + place] = encoding << 1
        with pytest.raises(FormatError):
            read_part(bytes(lie), rows=20)


def test_footer_that_nests_or_grows_without_end_is_refused() -> None:
    for footer in (b"\x1c" * 5000, b"\x19\xfc" + b"\xff" * 8 + b"\x0f", b"\x19" * 5000,
                   b"\x18\xff\xff\xff\xff\x0f", b"\x15" + b"\xff" * 40, b""):  # fmt: skip
        data = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
        with pytest.raises(FormatError):
            read_part(data, rows=20)


def test_encrypted_part_file_is_refused() -> None:
    with pytest.raises(FormatError):
        read_part(b"PARE" + FILE[4:-4] + b"PARE", rows=20)
    with pytest.raises(FormatError):
        read_part(FILE[:-4] + b"PARE", rows=20)
