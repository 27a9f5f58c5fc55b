"""Part files that break one rule each, or are not what their head says (steps 4, 10 and 11)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from case import Case
from forge import FILE_SCHEMA, Forge, Kept, entry, pets, table, uncut

from provreg.core.manifest.entry import ENTRY
from provreg.store.registry.parts import write_part


def _without(name: str) -> Callable[[pa.Table], bytes]:
    return lambda rows: _parquet(rows.drop_columns([name]))


def _with_type(name: str, kind: pa.DataType) -> Callable[[pa.Table], bytes]:
    place = FILE_SCHEMA.get_field_index(name)
    schema = FILE_SCHEMA.set(place, FILE_SCHEMA.field(name).with_type(kind))
    return lambda rows: _parquet(rows, schema)


def _nullable(name: str) -> Callable[[pa.Table], bytes]:
    place = FILE_SCHEMA.get_field_index(name)
    schema = FILE_SCHEMA.set(place, FILE_SCHEMA.field(name).with_nullable(True))

    def write(rows: pa.Table) -> bytes:
        first_null = pc.if_else(pa.array([False] + [True] * (rows.num_rows - 1)), rows[name], None)
        return _parquet(rows.set_column(place, schema.field(place), first_null), schema)

    return write


def _swapped(rows: pa.Table) -> bytes:
    names = FILE_SCHEMA.names
    return _parquet(rows.select([names[1], names[0], *names[2:]]))


def _extra(rows: pa.Table) -> bytes:
    return _parquet(rows.append_column("note", pa.array(["x"] * rows.num_rows)))


def _invalid_utf8(rows: pa.Table) -> bytes:
    ids = [identity.replace(b"2", b"\xff") for identity in rows["id"].cast(pa.binary()).to_pylist()]
    unchecked = pa.array(ids, pa.binary()).view(pa.string())
    return _parquet(rows.set_column(0, FILE_SCHEMA.field("id"), unchecked))


def _parquet(rows: pa.Table, schema: pa.Schema | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    written = rows if schema is None else rows.cast(schema)
    pq.write_table(written, sink, **{"compression": "zstd", "store_schema": False} | options)
    return sink.getvalue()


def _as_json(rows: pa.Table) -> bytes:
    texts = pa.ExtensionArray.from_storage(pa.json_(), rows["attrs"].combine_chunks())
    return _parquet(rows.set_column(rows.schema.get_field_index("attrs"), "attrs", texts))


def _with_an_arrow_schema(rows: pa.Table) -> bytes:
    """An Arrow schema that asks for other types, pandas' metadata, field ids, a page index."""
    place = rows.schema.get_field_index("source")
    field = FILE_SCHEMA.field("source").with_type(pa.large_string())
    field = field.with_metadata({"PARQUET:field_id": "7"})
    other = rows.set_column(place, field, rows["source"].cast(pa.large_string()))
    other = other.replace_schema_metadata({"pandas": '{"index_columns":["id"]}'})
    return _parquet(other, store_schema=True, write_page_index=True)


def _edited(rows: pa.Table, old: bytes, new: bytes, *, times: int = 1) -> bytes:
    """The plainest file of `rows` with one place changed, the `times`-th that there is."""
    data = _parquet(rows, FILE_SCHEMA, use_dictionary=False, write_statistics=False)
    at = -1
    for _ in range(times):
        at = data.index(old, at + 1)
    footer = int.from_bytes(data[-8:-4], "little")
    if at > len(data) - footer - 8:
        footer += len(new) - len(old)
    return data[:at] + new + data[at + len(old) : -8] + footer.to_bytes(4, "little") + b"PAR1"


# As Thrift's compact protocol writes them: a number twice as large, behind its kind and field.
_ZSTD_AND_SIX_VALUES, _ZSTD_AND_FIVE = b"\x15\x0c\x16\x0c", b"\x15\x0c\x16\x0a"
_LEVELS_RLE, _LEVELS_BIT_PACKED = b"\x15\x06\x15\x06", b"\x15\x08\x15\x06"


def _elsewhere(rows: pa.Table) -> bytes:
    """The first column chunk names a file, as a field before its own first."""
    return _edited(rows, b"\x26\x00\x1c", b"\x18\x01x\x16\x00\x1c")


# (name, what is wrong, what the message says, the file's bytes)
FILES: tuple[tuple[str, str, str, Callable[[pa.Table], bytes]], ...] = (
    ("root-name-not-utf-8", "a root whose name is not UTF-8", "not readable Parquet",
     lambda rows: _parquet(rows).replace(b"schema", b"sch\xa6ma", 1)),
    ("extra-column", "a column no entry has", "does not have the columns of an entry", _extra),
    ("missing-column", "a column missing", "does not have the columns", _without("delivery")),
    ("renamed-column", "a column under another name", "does not have the columns",
     lambda rows: _parquet(rows.rename_columns({"uri": "url"}))),
    ("columns-in-another-order", "columns in another order", "does not have the columns", _swapped),
    ("signed-size", "sizes as signed integers", "does not have the columns",
     _with_type("size", pa.int64())),
    ("naive-time", "times without a zone", "does not have the columns",
     _with_type("labeled_at", pa.timestamp("us"))),
    ("short-digest", "digests of 16 bytes", "does not have the columns",
     lambda rows: _parquet(
         rows.set_column(4, "label_digest", pa.nulls(rows.num_rows, pa.binary(16)))
     )),
    ("null-content", "an entry without content", "does not have the columns", _nullable("content")),
    ("null-source", "an entry without a source", "does not have the columns", _nullable("source")),
    ("two-row-groups", "two row groups", "rows, its head says",
     lambda rows: _parquet(rows, FILE_SCHEMA, row_group_size=3)),
    ("one-row-less", "one row less than the head says", "rows, its head says",
     lambda rows: write_part(rows.slice(1))),
    ("truncated", "Parquet cut short", "is not readable Parquet",
     lambda rows: write_part(rows)[:-40]),
    ("no-parquet", "bytes that are no Parquet", "is not readable Parquet",
     lambda _: b"squatted"),
    ("other-rows", "other rows than the logical digest's", "do not have the logical digest",
     lambda _: write_part(table(pets(label="dog")))),
    ("codec-snappy", "pages compressed by Snappy", "compressed by SNAPPY",
     lambda rows: _parquet(rows, compression="snappy")),
    ("codec-gzip", "pages compressed by gzip", "compressed by GZIP",
     lambda rows: _parquet(rows, compression="gzip")),
    ("encoding-byte-stream-split", "a column in BYTE_STREAM_SPLIT", "in the encoding 9",
     lambda rows: _parquet(rows, use_dictionary=False,
                           column_encoding={"content": "BYTE_STREAM_SPLIT"})),
    ("encoding-delta-length", "a column in DELTA_LENGTH_BYTE_ARRAY", "in the encoding 6",
     lambda rows: _parquet(rows, use_dictionary=False,
                           column_encoding={"source": "DELTA_LENGTH_BYTE_ARRAY"})),
    ("encoding-delta-of-names", "a column of names in DELTA_BYTE_ARRAY", "in the encoding 7",
     lambda rows: _parquet(rows, use_dictionary=False,
                           column_encoding={"source": "DELTA_BYTE_ARRAY"})),
    ("pages-of-version-2", "data pages of version 2", "a page of kind 3",
     lambda rows: _parquet(rows, data_page_version="2.0")),
    ("unfolds-too-far", "a page of one letter, 300,000,000 times", "unfolds to more than its size",
     lambda rows: _parquet(rows.set_column(rows.schema.get_field_index("uri"), "uri",
         pa.array(["u" * 300_000_000] + [None] * (rows.num_rows - 1))), use_dictionary=False,
         write_statistics=False)),
    ("values-miscounted", "a column of fewer values than rows", "longer or shorter than others",
     lambda rows: _edited(rows, _ZSTD_AND_SIX_VALUES, _ZSTD_AND_FIVE)),
    ("page-miscounted", "a page of fewer values than its column", "pages outside of their column",
     lambda rows: _edited(rows, b"\x2c\x15\x0c\x15\x00", b"\x2c\x15\x0a\x15\x00")),
    ("levels-bit-packed", "levels in BIT_PACKED", "in the encoding 0",
     lambda rows: _edited(rows, _LEVELS_RLE, _LEVELS_BIT_PACKED)),
    ("column-elsewhere", "a column in another file", "columns elsewhere", _elsewhere),
    ("converted-type", "a text whose converted type is ENUM", "does not have the columns",
     lambda rows: _edited(rows, b"\x18\x02id\x25\x00", b"\x18\x02id\x25\x08")),
    ("text-as-json", "a column of texts that are called JSON", "does not have the columns",
     _as_json),
    ("invalid-utf-8", "an id that is not UTF-8", "is not readable Parquet", _invalid_utf8),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    for name, wrong, says, write in FILES:
        yield _file_case(kept, f"part-{name}", wrong, says, write)
    for name, claim, write in SOUND:
        yield _good_case(kept, f"good-part-{name}", claim, write)
    yield from _texts(kept)
    yield from _places(kept)
    yield from _stored(kept)


SOUND: tuple[tuple[str, str, Callable[[pa.Table], bytes]], ...] = (
    ("uncompressed", "A part file may be uncompressed and without dictionaries.",
     lambda rows: _parquet(rows, compression="none", use_dictionary=False)),
    ("arrow-schema", "An Arrow schema and other metadata in a part file change nothing.",
     _with_an_arrow_schema),
)  # fmt: skip


def _good_case(kept: Kept, name: str, claim: str, write: Callable[[pa.Table], bytes]) -> Case:
    forge = Forge(kept)
    rows = table(pets())
    data = kept.file(name, lambda: write(rows.cast(FILE_SCHEMA)))
    forge.version(rows, [forge.part(uncut(rows), data)])
    return Case(name, claim, forge.files, facts=forge.facts)


def _file_case(
    kept: Kept, name: str, wrong: str, says: str, write: Callable[[pa.Table], bytes]
) -> Case:
    forge = Forge(kept)
    rows = table(pets())
    data = kept.file(name, lambda: write(rows.cast(FILE_SCHEMA)))
    forge.version(rows, [forge.part(uncut(rows), data)])
    return Case(name, f"A part file with {wrong} is refused.", forge.files, 11, says)


def _texts(kept: Kept) -> Iterator[Case]:
    """One text, said by so many annotations that all of them together are over 256 MiB."""
    entries, each = 258, 1024
    rows = table([entry(f"{number:04}", "x") for number in range(entries)])
    place = ENTRY.get_field_index("annotations")
    kind = ENTRY.field("annotations").type
    notes = [pa.repeat(pa.scalar("x" * 1024), entries * each)]
    notes += [pa.nulls(entries * each, field.type) for field in list(kind.value_type)[1:]]
    items = pa.StructArray.from_arrays(notes, fields=list(kind.value_type))
    offsets = pa.array(range(0, entries * each + 1, each), pa.int32())
    rows = rows.set_column(
        place, ENTRY.field("annotations"), pa.ListArray.from_arrays(offsets, items, type=kind)
    )
    forge = Forge(kept)
    data = kept.file("part-texts-too-large", lambda: _parquet(rows.cast(FILE_SCHEMA)))
    forge.version(rows, [forge.part(uncut(rows), data)], reading={"reader": "csv"})
    yield Case(
        "part-texts-too-large", "A part file whose texts unfold too far is refused.",
        forge.files, 11, "unfolds to more text",
    )  # fmt: skip


def _places(kept: Kept) -> Iterator[Case]:
    rows = table(pets())
    halves = [rows.slice(0, 3), rows.slice(3)]
    forge = Forge(kept)
    first, second = (
        forge.part(uncut(half), kept.of(f"part-ended-early-{place}", half))
        for place, half in enumerate(halves)
    )
    one = forge.part(uncut(rows), kept.of("pets", rows))
    shapes = (
        ("out-of-order", "Parts out of order", [second, first], 4, "not in the order of their ids"),
        ("overlapping", "Parts that overlap", [first | {"last": "dog/1.jpg"}, second], 4,
         "not in the order of their ids"),
        ("upside-down", "A part whose first id is behind its last",
         [one | {"first": "dog/3.jpg", "last": "cat/1.jpg"}], 4, "not in the order of their ids"),
        ("files-swapped", "Parts with each other's files",
         [first | _file(second), second | _file(first)], 11, "do not have the logical digest"),
        ("false-bounds", "A part whose first id is another than its head says",
         [one | {"first": "cat/0.jpg"}], 11, "first and last id are not those"),
        ("false-size", "A part file longer than its head says",
         [one | {"size": one["size"] - 1}], 10, "is longer than"),
        ("false-larger-size", "A part file shorter than its head says",
         [one | {"size": one["size"] + 1}], 10, "bytes, its head says"),
    )  # fmt: skip
    for name, what, parts, step, says in shapes:
        forge.version(rows, parts)
        yield Case(f"part-{name}", f"{what} are refused." if what.startswith("Parts")
                   else f"{what} is refused.", dict(forge.files), step, says)  # fmt: skip
        forge.files = {key: data for key, data in forge.files.items() if "blake3-" in key}


def _file(part: dict[str, Any]) -> dict[str, Any]:
    return {"file": part["file"], "size": part["size"]}


def _stored(kept: Kept) -> Iterator[Case]:
    changes: tuple[tuple[str, str, str, Callable[[bytes], bytes | None]], ...] = (
        ("missing", "that is not there", "there is no", lambda _: None),
        ("changed", "with one changed bit", "is damaged",
         lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:]),
        ("cut-short", "cut short in the registry", "is damaged", lambda data: data[:-1]),
    )  # fmt: skip
    for name, how, says, change in changes:
        forge = Forge(kept)
        rows = table(pets())
        [part] = forge.parts("pets", rows)
        forge.version(rows, [part])
        data = change(kept.of("pets", rows))
        if data is None:
            forge.drop(part["file"])
        else:
            forge.put(data, digest=part["file"])
        yield Case(f"part-{name}", f"A part file {how} is refused.", forge.files, 10, says)
