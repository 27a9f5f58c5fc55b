"""Values of every Arrow type, nested and null, from a file to every loader: what was written comes
out of each of them, in the types that the head signs, or is refused by name before it is published.
"""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

import provreg
import provreg.loaders.arrow
import provreg.loaders.huggingface
import provreg.loaders.pandas
import provreg.loaders.polars
from provreg.core.rows.arrow_types import to_arrow
from provreg.core.rows.column import columns_from_json

ROWS = (1, 3, 13, 77)
# By hand: PROVREG_EXAMPLES=2000 pytest tests/loaders/test_every_type.py
EXAMPLES = int(os.environ.get("PROVREG_EXAMPLES", "8"))
UNITS = ("s", "ms", "us", "ns")
NANOSECONDS = dict(zip(UNITS, (10**9, 10**6, 10**3, 1), strict=True))
_WIDE = decimal.Context(prec=200)

# Arrow types


@st.composite
def decimals(draw: st.DrawFn) -> pa.DataType:
    make, digits = draw(
        st.sampled_from(
            [(pa.decimal32, 9), (pa.decimal64, 18), (pa.decimal128, 38), (pa.decimal256, 76)]
        )
    )
    precision = draw(st.integers(1, digits))
    return make(precision, draw(st.integers(0, precision)))


SCALARS = st.one_of(
    st.sampled_from(
        [
            pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(),
            pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(),
            pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(3), pa.date32(),
            pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
            pa.null(), pa.string_view(), pa.binary_view(),
            *map(pa.duration, UNITS), *map(pa.timestamp, UNITS),
        ]
    ),
    st.builds(pa.timestamp, st.sampled_from(UNITS), st.sampled_from(["UTC", "Asia/Tokyo", "+03"])),
    decimals(),
)  # fmt: skip


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(pa.list_, inner),
        st.builds(pa.large_list, inner),
        st.builds(pa.list_, inner, st.integers(1, 3)),
        st.builds(pa.list_view, inner),
        fields.map(
            lambda types: pa.struct([(f"f{at}", one) for at, one in enumerate(types)][::-1])
        ),
        st.builds(pa.map_, inner.filter(lambda key: key != pa.null()), inner),
    )


TYPES = st.recursive(SCALARS, nested, max_leaves=4)

# Arrays of them


def integers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    edges = [low, high, 0, 1, 2**53 + 1, 10**9 + 1, 1_577_836_800_000_000_001, -1]
    return st.sampled_from([one for one in edges if low <= one <= high]) | st.integers(low, high)


def bits_of(arrow: pa.DataType) -> st.SearchStrategy[int]:
    """The numbers that values of a fixed width are stored as."""
    kinds = pa.types
    if kinds.is_date64(arrow):
        return st.integers(-(10**5), 10**5).map(lambda day: day * 86_400_000)
    if kinds.is_time(arrow):
        return st.integers(0, 86_400 * 10**9 // NANOSECONDS[arrow.unit] - 1)
    return integers(arrow.bit_width, signed=not kinds.is_unsigned_integer(arrow))


@st.composite
def arrays(draw: st.DrawFn, arrow: pa.DataType, rows: int) -> pa.Array:
    kinds = pa.types
    if kinds.is_null(arrow):
        return pa.nulls(rows)
    nulls = draw(st.lists(st.booleans(), min_size=rows, max_size=rows) | st.just([False] * rows))
    mask = pa.array(nulls, pa.bool_())
    if kinds.is_struct(arrow):
        children = [draw(arrays(field.type, rows)) for field in arrow]
        return pa.StructArray.from_arrays(
            children, names=[field.name for field in arrow], mask=mask
        )
    if kinds.is_fixed_size_list(arrow):
        values = draw(arrays(arrow.value_type, rows * arrow.list_size))
        return pa.FixedSizeListArray.from_arrays(values, arrow.list_size, mask=mask)
    if kinds.is_nested(arrow):
        lengths = [0 if null else draw(st.integers(0, 3)) for null in nulls]
        return draw(lists(arrow, lengths, mask))
    if kinds.is_boolean(arrow):
        values = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    elif kinds.is_decimal(arrow):
        most = 10**arrow.precision - 1
        unscaled = st.sampled_from([most, -most, 0, 1]) | st.integers(-most, most)
        drawn = draw(st.lists(unscaled, min_size=rows, max_size=rows))
        values = [decimal.Decimal(one).scaleb(-arrow.scale, _WIDE) for one in drawn]
    elif kinds.is_primitive(arrow):
        drawn = draw(st.lists(bits_of(arrow), min_size=rows, max_size=rows))
        name = f"{'u' if kinds.is_unsigned_integer(arrow) else ''}int{arrow.bit_width}"
        whole = pa.array(np.array(drawn, name), mask=np.array(nulls, np.bool_))
        return whole if str(arrow) == name else whole.view(arrow)
    elif kinds.is_string(arrow) or kinds.is_large_string(arrow) or kinds.is_string_view(arrow):
        text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
        values = draw(st.lists(text, min_size=rows, max_size=rows))
    else:
        width = arrow.byte_width if kinds.is_fixed_size_binary(arrow) else None
        data = st.binary(min_size=width or 0, max_size=width or 5)
        values = draw(st.lists(data, min_size=rows, max_size=rows))
    made = pa.array(
        [None if null else value for value, null in zip(values, nulls, strict=True)], arrow
    )
    repeats = kinds.is_string(arrow) or kinds.is_binary(arrow) or kinds.is_decimal128(arrow)
    return made.dictionary_encode() if repeats and draw(st.booleans()) else made


@st.composite
def lists(draw: st.DrawFn, arrow: pa.DataType, lengths: list[int], mask: pa.Array) -> pa.Array:
    ends = [0, *itertools.accumulate(lengths)]
    if pa.types.is_map(arrow):
        keys = draw(arrays(arrow.key_type, ends[-1]).filter(lambda array: not array.null_count))
        items = draw(arrays(arrow.item_type, ends[-1]))
        return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, items, mask=mask)
    values = draw(arrays(arrow.value_type, ends[-1]))
    if pa.types.is_list_view(arrow):
        starts, sizes = pa.array(ends[:-1], pa.int32()), pa.array(lengths, pa.int32())
        return pa.ListViewArray.from_arrays(starts, sizes, values, mask=mask)
    if pa.types.is_large_list(arrow):
        return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), values, mask=mask)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, mask=mask)


@st.composite
def shards(draw: st.DrawFn) -> list[pa.Table]:
    """One table, or two whose columns differ in width, unit or being null throughout."""
    types = draw(st.lists(TYPES, min_size=1, max_size=3))
    made = []
    for more in range(draw(st.integers(1, 2))):
        rows = draw(st.sampled_from(ROWS[:3] if more else ROWS))
        columns = {}
        for at, arrow in enumerate(types):
            kind = draw(st.sampled_from([arrow, arrow, *kin(arrow)]))
            columns[f"c{at}"] = draw(arrays(kind, rows))
        made.append(pa.table(columns))
    return made


def kin(arrow: pa.DataType) -> list[pa.DataType]:
    """Other Arrow types of the same logical type."""
    kinds = pa.types
    if kinds.is_timestamp(arrow):
        return [pa.null(), *(pa.timestamp(unit, arrow.tz) for unit in UNITS)]
    if kinds.is_duration(arrow):
        return [pa.null(), *map(pa.duration, UNITS)]
    if kinds.is_integer(arrow):
        return [pa.null(), pa.int8(), pa.int64(), pa.uint64()]
    if kinds.is_decimal(arrow):
        return (
            [pa.null(), pa.decimal256(76, arrow.scale), pa.decimal128(38, arrow.scale)]
            if arrow.scale <= 38
            else [pa.null()]
        )
    return [pa.null()]


# What a value is, however it is stored


def meaning(value: Any) -> Any:
    """The value of an Arrow scalar as plain numbers, texts and lists."""
    kinds, arrow = pa.types, value.type
    if not value.is_valid:
        return None
    if kinds.is_dictionary(arrow):
        return meaning(value.value)
    if kinds.is_timestamp(arrow) or kinds.is_duration(arrow) or kinds.is_time(arrow):
        return value.value * NANOSECONDS[arrow.unit]
    if kinds.is_date32(arrow):
        return value.value
    if kinds.is_date64(arrow):
        return Fraction(value.value, 86_400_000)
    if kinds.is_floating(arrow):
        return floating(float(value.as_py()))
    if kinds.is_map(arrow):
        return [(meaning(pair["key"]), meaning(pair["value"])) for pair in value.values]
    if kinds.is_struct(arrow):
        found = {name: meaning(value[name]) for name in value}
        return tuple(found.values()) if list(found) == ["key", "value"] else found
    if kinds.is_nested(arrow):
        return [meaning(one) for one in value.values]
    return value.as_py()


def floating(value: float) -> bytes:
    return b"nan" if value != value else struct.pack("<d", value)


def meanings(table: pa.Table) -> list[dict[str, Any]]:
    names = table.column_names
    columns = [[meaning(one) for one in column] for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def of_python(value: Any) -> Any:
    """As `meaning`, of the Python values that samples have."""
    match value:
        case dt.datetime():
            epoch = dt.datetime(1970, 1, 1, tzinfo=value.tzinfo and dt.UTC)
            return (value - epoch) // dt.timedelta(microseconds=1) * 1000
        case dt.date():
            return (value - dt.date(1970, 1, 1)).days
        case dt.time():
            whole = (value.hour * 60 + value.minute) * 60 + value.second
            return (whole * 10**6 + value.microsecond) * 1000
        case dt.timedelta():
            return value // dt.timedelta(microseconds=1) * 1000
        case float():
            return floating(value)
        case dict():
            return {name: of_python(one) for name, one in value.items()}
        case list():
            return [of_python(one) for one in value]
        case tuple():
            return tuple(of_python(one) for one in value)
    return value


# The round trip


@pytest.fixture
def trip(bench: Any, tmp_path: Path) -> Callable[..., None]:
    numbers = itertools.count()

    def trip(tables: list[pa.Table], write: Callable[[pa.Table, Path], Path], kind: str) -> None:
        how = provreg.ReadOptions(format=kind)
        name = f"d{next(numbers)}"
        data = tmp_path / name
        data.mkdir()
        for at, table in enumerate(tables):
            write(table, data / str(at))
        head = refusal = None
        try:
            head = bench.ingest(data, name=name, source="s", options=how).head
        except provreg.InputError as error:
            refusal = error
        if head is None:
            assert any(f"'{column}'" in str(refusal) for column in tables[0].column_names), refusal
            assert not (bench.registry / "datasets" / name / "versions").exists()
            assert held_apart(tables), refusal
            return
        written = [row for table in tables for row in meanings(table)]
        signed = pa.schema(
            [
                (one.name, to_arrow(one.type))
                for one in columns_from_json(head.reading["columns"], "columns")
            ]
        )
        given = {"data": data, "key": bench.key_file(), "registry": bench.registry}
        samples = provreg.load(name, **given)
        samples.verify_data()
        outcome = bench.ingest(data, name=name, source="s", options=how)
        assert outcome.head is None or outcome.head.version == 1, "nothing has changed"
        for _ in range(2):  # the second by what was remembered of the first
            table = provreg.loaders.arrow.table(samples, ())
            assert table.schema.equals(signed), table.schema
            table.validate(full=True)
            assert meanings(table) == written
        assert one_nan(table)
        for load in LOADERS:
            refusal = None
            try:
                handed_on = load(samples)
            except (provreg.InputError, provreg.UsageError) as error:
                refusal = error
            if refusal is None:
                assert handed_on == written, load
            else:
                assert not signed_only_plain(signed), refusal
        shutil.rmtree(data)

    return trip


def held_apart(tables: list[pa.Table]) -> bool:
    """Whether there are two forms of a column, of which neither may hold the values of both."""
    return len(tables) == 2 and tables[0].schema != tables[1].schema


def signed_only_plain(schema: pa.Schema) -> bool:
    """Whether all columns are of types that every loader knows."""
    return all(
        arrow in (pa.bool_(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.string())
        for arrow in schema.types
    )


def one_nan(table: pa.Table) -> bool:
    """Whether every NaN in `table` has the bits that the format names."""
    names = {pa.float16(): ("u2", 0x7E00), pa.float32(): ("u4", 0x7FC00000),
             pa.float64(): ("u8", 0x7FF8000000000000)}  # fmt: skip
    for array in leaves([chunk for column in table.columns for chunk in column.chunks]):
        if array.type in names and len(array):
            form, nan = names[array.type]
            valid = array.drop_null()
            bits = np.frombuffer(valid.buffers()[1], form)[valid.offset : valid.offset + len(valid)]
            if not (bits[np.isnan(bits.view(form.replace("u", "f")))] == nan).all():
                return False
    return True


def leaves(found: list[pa.Array]) -> Iterator[pa.Array]:
    for array in found:
        if pa.types.is_struct(array.type):
            yield from leaves(array.flatten())
        elif pa.types.is_map(array.type):
            yield from leaves([array.keys, array.items])
        elif pa.types.is_list(array.type):
            yield from leaves([array.flatten()])
        else:
            yield array


def in_pandas(samples: Any) -> Any:
    frame = provreg.loaders.pandas.frame(samples, ())
    columns = {
        name: pa.chunked_array(frame[name].array.__arrow_array__()) for name in frame.columns
    }
    return meanings(pa.table(columns))


def in_polars(samples: Any) -> Any:
    return meanings(provreg.loaders.polars.frame(samples, ()).to_arrow())


def in_huggingface(samples: Any) -> Any:
    return meanings(provreg.loaders.huggingface.dataset(samples, ()).data.table)


def in_python(samples: Any) -> Any:
    return [of_python(dict(sample.payload)) for sample in samples]


LOADERS = (in_pandas, in_polars, in_huggingface, in_python)


def parquet(table: pa.Table, path: Path) -> Path:
    file = path.with_suffix(".parquet")
    try:
        pq.write_table(table, file, row_group_size=7)
    except pa.ArrowNotImplementedError:  # Arrow cannot slice views of texts within structs
        pq.write_table(table, file)
    return path


def arrow_stream(table: pa.Table, path: Path) -> Path:
    with pa.ipc.new_stream(path.with_suffix(".arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return path


MANY = settings(
    max_examples=EXAMPLES,
    # Each example is a whole registry: those that fail are shown as they are.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)  # fmt: skip


@MANY
@given(tables=shards())
def test_parquet_of_every_type_comes_out_of_every_loader_as_it_was_written(
    trip: Callable[..., None], tables: list[pa.Table]
) -> None:
    for table in tables:
        try:
            pq.write_table(table, pa.BufferOutputStream())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            reject()
    trip(tables, parquet, "parquet")


@MANY
@given(tables=shards())
def test_arrow_of_every_type_comes_out_of_every_loader_as_it_was_written(
    trip: Callable[..., None], tables: list[pa.Table]
) -> None:
    trip(tables, arrow_stream, "huggingface")
