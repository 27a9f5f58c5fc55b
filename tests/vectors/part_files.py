"""Part files that break one rule each, or are not what their head says (steps 4, 10 and 11)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from case import Case
from forge import FILE_SCHEMA, Forge, Kept, pets, table, uncut

from provreg.store.parts import write_part


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
    pq.write_table(written, sink, compression="zstd", store_schema=False, **options)
    return sink.getvalue()


# (name, what is wrong, what the message says, the file's bytes)
FILES: tuple[tuple[str, str, str, Callable[[pa.Table], bytes]], ...] = (
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
    ("other-rows", "other rows than the logical digest's", "are not those whose blocks",
     lambda _: write_part(table(pets(label="dog")))),
    ("invalid-utf-8", "an id that is not UTF-8", "is not readable Parquet", _invalid_utf8),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    for name, wrong, says, write in FILES:
        yield _file_case(kept, f"part-{name}", wrong, says, write)
    yield from _places(kept)
    yield from _stored(kept)


def _file_case(
    kept: Kept, name: str, wrong: str, says: str, write: Callable[[pa.Table], bytes]
) -> Case:
    forge = Forge(kept)
    rows = table(pets())
    data = kept.file(name, lambda: write(rows.cast(FILE_SCHEMA)))
    forge.version(rows, [forge.part(uncut(rows), data)])
    return Case(name, f"A part file with {wrong} is refused.", forge.files, 11, says)


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
         [first | _file(second), second | _file(first)], 11, "are not those whose blocks"),
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
