"""The encoding of rows, held against a decoder and an encoder written from docs/format/row.md."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.core.rows.arrow_types import columns_from_arrow
from provreg.core.rows.column import FILE, Column, columns_from_json
from provreg.core.rows.row import encode_rows, hash_payloads, hash_rows
from provreg.errors import FormatError, InputError
from provreg.readers.tables.table import TableOptions, read_table

DOCUMENT = Path(__file__).parents[3] / "docs" / "format" / "row.md"


# The second implementation


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int) -> bytes:
        taken, self.data = self.data[:count], self.data[count:]
        assert len(taken) == count
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]


def decode(payload: bytes) -> Any:
    source = _Bytes(payload)
    value = _decode(source)
    assert source.data == b""
    return value


def _decode(source: _Bytes) -> Any:
    match source.take(1)[0]:
        case 0x00:
            return None
        case 0x01:
            return ("bool", {0: False, 1: True}[source.take(1)[0]])
        case 0x02:
            return ("int", source.number("q"))
        case 0x03:
            value = source.number("Q")
            assert value >= 2**63
            return ("int", value)
        case (0x04 | 0x05 | 0x06) as tag:
            return ("float", tag, source.take({4: 2, 5: 4, 6: 8}[tag]))
        case 0x07:
            return ("text", source.take(source.number("I")).decode())
        case 0x08:
            return ("binary", source.take(source.number("I")))
        case 0x09:
            return (
                "decimal",
                source.number("i"),
                int.from_bytes(source.take(32), "little", signed=True),
            )
        case (0x0A | 0x0B | 0x0E) as tag:
            seconds, nanoseconds = source.number("q"), source.number("I")
            assert nanoseconds < 10**9
            return ("time", tag, seconds * 10**9 + nanoseconds)
        case 0x0C:
            return ("date", source.number("i"))
        case 0x0D:
            return ("time of day", source.number("q"))
        case 0x0F:
            return ("list", [_decode(source) for _ in range(source.number("I"))])
        case 0x10:
            fields = {}
            for _ in range(source.number("I")):
                name = source.take(source.number("I"))
                assert not fields or name > list(fields)[-1].encode()
                fields[name.decode()] = _decode(source)
            return ("struct", fields)
        case 0x11:
            return ("map", [(_decode(source), _decode(source)) for _ in range(source.number("I"))])
    raise AssertionError("unknown tag")


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BITS = {"halffloat": (4, "<e"), "float": (5, "<f"), "double": (6, "<d")}


def expected(value: Any, arrow: pa.DataType) -> Any:
    """What `decode` should give for the Python value of an Arrow type."""
    kinds = pa.types
    if value is None:
        return None
    if kinds.is_dictionary(arrow):
        return expected(value, arrow.value_type)
    if kinds.is_boolean(arrow):
        return ("bool", value)
    if kinds.is_integer(arrow):
        return ("int", value)
    if kinds.is_floating(arrow):
        tag, form = _BITS[str(arrow)]
        nan = {4: 0x7E00, 5: 0x7FC00000, 6: 0x7FF8000000000000}[tag]
        bits = (
            nan.to_bytes(struct.calcsize(form), "little")
            if math.isnan(value)
            else struct.pack(form, value)
        )
        return ("float", tag, bits)
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, bytes):
        return ("binary", value)
    if kinds.is_decimal(arrow):
        with decimal.localcontext(prec=100):
            return ("decimal", arrow.scale, int(value.scaleb(arrow.scale)))
    if kinds.is_timestamp(arrow):
        since = (value if value.tzinfo else value.replace(tzinfo=dt.UTC)) - _EPOCH
        return (
            "time",
            0x0A if arrow.tz is None else 0x0B,
            since // dt.timedelta(microseconds=1) * 1000,
        )
    if kinds.is_duration(arrow):
        return ("time", 0x0E, value // dt.timedelta(microseconds=1) * 1000)
    if kinds.is_date(arrow):
        return ("date", (value - _EPOCH.date()).days)
    if kinds.is_time(arrow):
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return ("time of day", (seconds * 10**6 + value.microsecond) * 1000)
    if kinds.is_struct(arrow):
        fields = {f.name: expected(value[f.name], f.type) for f in arrow.fields}
        present = {name: v for name, v in fields.items() if v is not None}
        return ("struct", dict(sorted(present.items(), key=lambda item: item[0].encode())))
    if kinds.is_map(arrow):
        return (
            "map",
            [(expected(k, arrow.key_type), expected(v, arrow.item_type)) for k, v in value],
        )
    return ("list", [expected(element, arrow.value_type) for element in value])


# Tables of any type, held in any way

texts = st.text(max_size=5)
_NAIVE = _EPOCH.replace(tzinfo=None)
_seconds = st.integers(-(10**9) * 8, 10**9 * 7)
_moments = st.builds(
    lambda seconds, micro: _NAIVE + dt.timedelta(seconds=seconds, microseconds=micro),
    _seconds,
    st.integers(0, 999_999),
)
_SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-(2**7), 2**7 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float16(), st.floats(width=16)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.string(), texts),
    (pa.large_string(), texts),
    (pa.string_view(), texts),
    (pa.dictionary(pa.int8(), pa.string()), texts),
    (pa.binary(), st.binary(max_size=5)),
    (pa.binary_view(), st.binary(max_size=20)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.decimal32(9, 2), st.decimals(-9999, 9999, places=2)),
    (pa.decimal128(38, 0), st.decimals(-(10**30), 10**30, places=0)),
    (pa.decimal256(76, 3), st.decimals(-(10**20), 10**20, places=3)),
    (pa.timestamp("us"), _moments),
    (pa.timestamp("ns"), _moments),
    (pa.timestamp("us", "Europe/Berlin"), _moments.map(lambda m: m.replace(tzinfo=dt.UTC))),
    (pa.timestamp("s", "UTC"), _moments.map(lambda m: m.replace(tzinfo=dt.UTC, microsecond=0))),
    (pa.date32(), st.dates()),
    (pa.date64(), st.dates()),
    (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    (pa.time64("us"), st.times()),
    (pa.time64("ns"), st.times()),
    (pa.duration("us"), st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000))),
]


def _nested(inner: Any) -> Any:
    """Strategies of (type, strategy of values), nested once more."""

    def lists(element: Any) -> Any:
        arrow, values = element
        several = st.lists(st.none() | values, max_size=3)
        pair = st.lists(st.none() | values, min_size=2, max_size=2)
        kinds: list[tuple[Any, Any]] = [
            (pa.list_(arrow), several),
            (pa.large_list(arrow), several),
            (pa.list_(arrow, 2), pair),
        ]
        if not pa.types.is_dictionary(arrow):
            kinds.append((pa.list_view(arrow), several))
        return st.sampled_from(kinds)

    def structs(elements: Any) -> Any:
        fields = [(f"f{k}é", arrow) for k, (arrow, _) in enumerate(elements)]
        values = {name: st.none() | v for (name, _), (_, v) in zip(fields, elements, strict=True)}
        return pa.struct(fields), st.fixed_dictionaries(values)

    def maps(element: Any) -> Any:
        arrow, values = element
        return pa.map_(pa.string(), arrow), st.lists(
            st.tuples(texts, st.none() | values), max_size=3
        )

    return inner.flatmap(lists) | st.lists(inner, max_size=3).map(structs) | inner.map(maps)


kinds = st.recursive(st.sampled_from(_SCALARS), _nested, max_leaves=4)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 6))
    columns = {}
    for name in draw(
        st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=4, unique=True)
    ):
        arrow, values = draw(kinds)
        data = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[name] = pa.array(data, arrow)
    return pa.table(columns)


def _payloads(table: pa.Table) -> list[bytes]:
    columns = columns_from_arrow(table.schema)
    encoded = encode_rows(table, columns)
    encoded.validate(full=True)
    payloads: list[bytes] = encoded.to_pylist()
    return payloads


@settings(max_examples=100, deadline=None)
@given(tables())
def test_payloads_are_as_specified_and_can_be_decoded(table: pa.Table) -> None:
    row = pa.struct(list(table.schema))
    wanted = [expected(value, row) for value in _pylist(table)]
    assert [decode(payload) for payload in _payloads(table)] == wanted


def _pylist(table: pa.Table) -> list[dict[str, Any]]:
    columns = {name: table[name].to_pylist() for name in table.column_names}
    return [{name: values[k] for name, values in columns.items()} for k in range(table.num_rows)]


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_slices_chunks_and_column_order_make_no_difference(
    table: pa.Table, data: st.DataObject
) -> None:
    whole = _payloads(table)
    start = data.draw(st.integers(0, table.num_rows))
    stop = data.draw(st.integers(start, table.num_rows))
    assert _payloads(table.slice(start, stop - start)) == whole[start:stop]
    pieces = [piece for piece in (table[:start], table[start:]) if piece.num_rows]
    if pieces:
        assert _payloads(pa.concat_tables(pieces)) == whole
    assert _payloads(table.select(table.column_names[::-1])) == whole
    for batch in table.to_batches():
        assert encode_rows(batch, columns_from_arrow(batch.schema)).to_pylist() == whole


@given(tables())
def test_a_column_of_nulls_changes_nothing(table: pa.Table) -> None:
    for arrow in (pa.null(), pa.int8(), pa.list_(pa.int8())):
        wider = table.append_column("\uffff more", pa.nulls(table.num_rows, arrow))
        assert _payloads(wider) == _payloads(table)


@given(st.lists(st.none() | st.integers(0, 127)))
def test_the_width_of_integers_makes_no_difference(values: list[int | None]) -> None:
    widths = [
        pa.int8(),
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.uint8(),
        pa.uint16(),
        pa.uint32(),
        pa.uint64(),
    ]
    found = [_payloads(pa.table({"a": pa.array(values, width)})) for width in widths]
    found.append(_payloads(pa.table({"a": pa.array(values, pa.int64()).dictionary_encode()})))
    assert all(payloads == found[0] for payloads in found)


@given(st.lists(st.none() | _seconds.map(lambda seconds: _NAIVE + dt.timedelta(seconds=seconds))))
def test_units_and_zone_names_make_no_difference_but_having_a_zone_does(values: list[Any]) -> None:
    naive = [
        _payloads(pa.table({"a": pa.array(values, pa.timestamp(unit))}))
        for unit in ("s", "ms", "us", "ns")
    ]
    zoned = [
        _payloads(
            pa.table({"a": pa.array(values, pa.timestamp("us")).cast(pa.timestamp("us", zone))})
        )
        for zone in ("UTC", "Asia/Tokyo")
    ]
    assert all(payloads == naive[0] for payloads in naive)
    assert zoned[0] == zoned[1]
    assert all(a != b for a, b, value in zip(naive[0], zoned[0], values, strict=True) if value)


def test_there_is_one_nan_and_two_zeros() -> None:
    for width, bits in ((np.float16, np.uint16), (np.float32, np.uint32), (np.float64, np.uint64)):
        quiet = np.array([np.nan], width)
        odd = (quiet.view(bits) | bits(1)).view(width)
        negative = (quiet.view(bits) | ~(bits(0)) << bits(bits(0).nbytes * 8 - 1)).view(width)
        one, two, three = (_payloads(pa.table({"a": nan})) for nan in (quiet, odd, negative))
        assert one == two == three
        zeros = _payloads(pa.table({"a": np.array([0.0, -0.0], width)}))
        assert zeros[0] != zeros[1]


def test_types_that_print_alike_differ() -> None:
    one = decimal.Decimal(1)
    values = [
        pa.array([1]), pa.array([1], pa.float16()), pa.array([1.0], pa.float32()), pa.array([1.0]),
        pa.array(["1"]), pa.array([b"1"]), pa.array([True]), pa.array([1], pa.duration("s")),
        pa.array([[1]]), pa.array([one], pa.decimal128(5, 0)), pa.array([one], pa.decimal128(5, 1)),
        pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("s", "UTC")),
        pa.array([1], pa.date32()), pa.array([1], pa.time32("s")), pa.array([None], pa.int8()),
        pa.array([""]), pa.array([[]], pa.list_(pa.int8())),
        pa.array([[None]], pa.list_(pa.int8())),
        pa.array([{}], pa.struct([])), pa.array(["é"]), pa.array(["e\u0301"]),
    ]  # fmt: skip
    payloads = [_payloads(pa.table({"a": value}))[0] for value in values]
    assert len(set(payloads)) == len(values)


def test_wrapping_an_integer_around_changes_the_payload() -> None:
    for value, tag in ((2**63 - 1, 0x02), (2**63, 0x03), (2**64 - 1, 0x03)):
        (payload,) = _payloads(pa.table({"a": pa.array([value], pa.uint64())}))
        (wrapped,) = _payloads(pa.table({"a": pa.array([value], pa.uint64()).view(pa.int64())}))
        assert decode(payload) == ("struct", {"a": ("int", value)})
        assert payload[10] == tag
        assert (payload == wrapped) == (value < 2**63)


def test_boundary_shifting_attack_changes_the_payload() -> None:
    rows = [
        {"a": "x", "b": "yz"},
        {"a": "xy", "b": "z"},
        {"a": "xyz", "b": ""},
        {"a": None, "b": "xyz"},
    ]
    payloads = _payloads(pa.Table.from_pylist(rows))
    assert len(set(payloads)) == len(rows)


def test_what_hides_under_nulls_is_not_hashed() -> None:
    hidden = pa.StringArray.from_buffers(
        2,
        pa.py_buffer(np.array([0, 3, 6], np.int32)),
        pa.py_buffer(b"abcdef"),
        pa.py_buffer(b"\x02"),
    )
    plain = pa.array([None, "def"])
    assert _payloads(pa.table({"a": hidden})) == _payloads(pa.table({"a": plain}))
    structs = pa.StructArray.from_arrays(
        [pa.array(["abc", "def"])], names=["s"], mask=pa.array([True, False])
    )
    lists = pa.ListArray.from_arrays(
        pa.array([0, 1, 2]), pa.array(["abc", "def"]), mask=pa.array([True, False])
    )
    assert _payloads(pa.table({"a": structs})) == _payloads(
        pa.table({"a": pa.array([None, {"s": "def"}])})
    )
    assert _payloads(pa.table({"a": lists})) == _payloads(
        pa.table({"a": pa.array([None, ["def"]])})
    )
    coded = pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array(["def", None]))
    assert _payloads(pa.table({"a": coded})) == _payloads(pa.table({"a": plain}))


def test_many_rows_are_encoded_as_few_are() -> None:
    table = pa.table(
        {"n": pa.array(range(10_000)), "t": [None if k % 3 else str(k) for k in range(10_000)]}
    )
    payloads = _payloads(table)
    assert payloads[9_999] == _payloads(table.slice(9_999))[0]
    assert len(set(payloads)) == 10_000


@pytest.mark.parametrize(
    "values",
    [
        pa.array([-1], pa.time64("us")),
        pa.array([86_400], pa.time32("s")),
        pa.array([1], pa.int64()).view(pa.date64()),
        pa.array([2**62 // 86_400_000 * 86_400_000], pa.int64()).view(pa.date64()),
    ],
)
def test_times_that_are_none_are_refused(values: pa.Array) -> None:
    with pytest.raises(InputError):
        _payloads(pa.table({"a": values}))


def test_columns_that_are_missing_or_of_another_type_are_refused() -> None:
    (column,) = columns_from_arrow(pa.schema([("a", pa.int8())]))
    for table in (
        pa.table({"b": [1]}),
        pa.table({"a": ["1"]}),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ):
        with pytest.raises(InputError, match="'a'"):
            encode_rows(table, (column,))


@given(tables())
def test_hashes_are_of_the_payloads(table: pa.Table) -> None:
    columns = columns_from_arrow(table.schema)
    payloads = _payloads(table)
    for contents, sizes in (hash_rows(table, columns), hash_payloads(encode_rows(table, columns))):
        assert contents.type == pa.binary(32)
        assert sizes.type == pa.uint64()
        assert contents.to_pylist() == [blake3(payload).digest() for payload in payloads]
        assert sizes.to_pylist() == [len(payload) for payload in payloads]


def test_hashes_of_a_slice_of_payloads() -> None:
    encoded = encode_rows(
        pa.table({"a": ["x", "yy", "zzz"]}), columns_from_arrow(pa.schema([("a", pa.string())]))
    )
    contents, sizes = hash_payloads(encoded)
    later = hash_payloads(encoded.slice(1))
    assert later[0].to_pylist() == contents.to_pylist()[1:]
    assert later[1].to_pylist() == sizes.to_pylist()[1:]


def _examples() -> list[dict[str, str]]:
    block = re.search(r"```rows\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    return [
        dict(line.split(None, 1) for line in part.splitlines())
        for part in block[1].strip().split("\n\n")
    ]


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example["digest"])
def test_the_examples_of_the_specification_hold(example: dict[str, str], tmp_path: Path) -> None:
    """The payload, whose digest is that of the row read as a line of JSON."""
    columns = columns_from_json(json.loads(example["schema"]), "schema")
    file = tmp_path / "row.jsonl"
    file.write_text(example["row"], "utf-8")
    [content] = read_table([file], "jsonl", TableOptions(columns=columns)).table["content"]
    payload = bytes.fromhex(example["payload"])
    decode(payload)
    assert content.as_py() == blake3(payload).digest()
    assert content.as_py().hex().startswith(example["digest"].strip())


def test_the_example_of_files_holds(tmp_path: Path) -> None:
    block = re.search(r"```files\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    example = dict(line.split(None, 1) for line in block[1].strip().splitlines())
    columns = columns_from_json(json.loads(example["schema"]), "schema")
    (tmp_path / "m").mkdir()
    for name, data in json.loads(example["files"]).items():
        (tmp_path / name).write_bytes(bytes.fromhex(data))
    file = tmp_path / "row.jsonl"
    file.write_text(example["row"], "utf-8")
    [content] = read_table([file], "jsonl", TableOptions(columns=columns)).table["content"]
    assert content.as_py() == blake3(bytes.fromhex(example["payload"])).digest()
    assert content.as_py().hex().startswith(example["digest"].strip())


def _files(rows: list[dict[str, Any] | None], *names: str) -> pa.RecordBatch:
    kinds = {
        "bytes": pa.binary(),
        "path": pa.string(),
        "blake3": pa.binary(32),
        "size": pa.uint64(),
    }
    kind = pa.struct([(name, kinds[name]) for name in names])
    return pa.record_batch({"f": pa.array(rows, kind)})


def test_files_hash_alike_with_their_bytes_and_with_their_digests() -> None:
    columns = (Column("f", FILE),)
    contents = [b"", b"x" * 3000, b"y"]
    paths = ["a", None, "c"]
    delivered = [{"bytes": data, "path": path} for data, path in zip(contents, paths, strict=True)]
    hashed = [
        {"blake3": blake3(data).digest(), "path": path, "size": len(data)}
        for data, path in zip(contents, paths, strict=True)
    ]
    one = hash_rows(_files([*delivered, None], "bytes", "path"), columns)
    two = hash_rows(_files([*hashed, None], "blake3", "path", "size"), columns)
    assert [array.to_pylist() for array in one] == [array.to_pylist() for array in two]


@pytest.mark.parametrize("rows", [[{"path": "a"}], [{"path": "a"}, {"bytes": b"x", "path": "a"}]])
def test_file_without_bytes_has_no_payload(rows: list[dict[str, Any] | None]) -> None:
    with pytest.raises(InputError, match="a name and no bytes"):
        hash_rows(_files(rows, "bytes", "path"), (Column("f", FILE),))


def test_maps_hold_no_files() -> None:
    with pytest.raises(FormatError, match="a map holds files"):
        columns_from_json([{"name": "m", "type": {"map": ["text", {"list": "file"}]}}], "schema")
