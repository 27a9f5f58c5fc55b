"""Attacks by a signer the policy trusts: heads that lie and objects made to break their reader."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from provreg.core.encoding.canonical import canonical
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import Head, NameCounts, PartRef, root_of_parts
from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.tree import block_list, cut
from provreg.core.statements.statement import version_statement
from provreg.errors import FormatError, NotTrustedError, ProvregError
from provreg.store.registry.parts import read_part, write_part
from tests.parts import build_parts

if TYPE_CHECKING:
    from tests.conftest import Bench


def entries_of(ids: Sequence[str], **columns: Sequence[Any]) -> pa.Table:
    """Entries with these ids, in this order, each of its own content."""
    count = len(ids)
    values: dict[str, Any] = {
        "id": ids,
        "content": [bytes([n % 256, n // 256]) + bytes(30) for n in range(count)],
        "size": [1] * count,
        "source": ["shelter"] * count,
    } | columns
    arrays = [
        pa.array(values.get(field.name, [None] * count), plain_type(field)).cast(field.type)
        for field in ENTRY
    ]
    return pa.table(arrays, schema=ENTRY)


def plain_type(field: pa.Field) -> pa.DataType:
    return field.type.value_type if pa.types.is_dictionary(field.type) else field.type


def part_of(bench: Bench, entries: pa.Table, data: bytes | None = None) -> PartRef:
    """One part of all `entries`, whatever they are, its objects stored."""
    objects = bench.open().workspace.objects
    blocks = block_list(leaves(entries), cut(entries.column("id")).blocks)
    data = write_part(entries) if data is None else data
    ids = entries.column("id").to_pylist()
    return PartRef(
        objects.put(blocks.to_bytes()), objects.put(data), len(data), len(ids), ids[0], ids[-1]
    )


def first_head(bench: Bench) -> Head:
    outcome = bench.ingest(bench.pets())
    assert outcome.head is not None
    return outcome.head


def with_parts(head: Head, parts: Sequence[PartRef]) -> Head:
    """`head` over other parts, its root and count following from them."""
    return replace(
        head,
        parts=tuple(parts),
        root=root_of_parts([(part.rows, part.blocks) for part in parts]),
        samples=sum(part.rows for part in parts),
    )


def hostile(bench: Bench, entries: pa.Table, data: bytes | None = None) -> Head:
    """Version 2 of `entries`, every count of it true."""
    head = first_head(bench)
    objects = bench.open().workspace.objects
    names = [[entry, 1] for entry in entries.column("source").to_pylist()]
    counts = {name: sum(1 for one, _ in names if one == name) for name, _ in names}
    table = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    written = canonical([{"name": name, "samples": count} for name, count in table])
    empty = canonical([])
    return replace(
        with_parts(head, [part_of(bench, entries, data)]),
        version=2,
        parent=head.digest(),
        label_type="text",
        classes=(),
        sources=NameCounts(len(table), tuple(table[:20]), objects.put(written)),
        labelers=NameCounts(0, (), objects.put(empty)),
    )


def refused(bench: Bench, head: Head) -> NotTrustedError:
    """The refusal of version 2, forged; nothing else may come of it."""
    bench.forge(head)
    bench.forget()
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.message
    registry = bench.open()
    assert [one.number for one in registry.sync()] == [2]
    assert [problem.where for problem in registry.check()]
    return caught.value


def test_the_forgery_itself_is_sound(bench: Bench) -> None:
    """What the tests below vary verifies as long as nothing in it lies."""
    bench.forge(hostile(bench, entries_of(["a", "b/c"])))
    assert bench.open().verify("pets").head.samples == 2


HEAD_LIES: dict[str, Callable[[Head], Head]] = {
    "a number of samples": lambda head: replace(head, samples=7),
    "a root": lambda head: replace(head, root="blake3:" + "0" * 64),
    "a first id": lambda head: replace(head, parts=(replace(head.parts[0], first="a"),)),
    "a last id": lambda head: replace(head, parts=(replace(head.parts[0], last="zzz"),)),
    "rows": lambda head: with_parts(head, [replace(head.parts[0], rows=5)]),
    "more rows": lambda head: with_parts(head, [replace(head.parts[0], rows=200_000)]),
    "overlapping parts": lambda head: with_parts(head, [head.parts[0], head.parts[0]]),
    "a part's size": lambda head: replace(
        head, parts=(replace(head.parts[0], size=head.parts[0].size + 1),)
    ),
    "a huge part": lambda head: replace(head, parts=(replace(head.parts[0], size=4 << 30),)),
    "sources": lambda head: replace(head, sources=replace(head.sources, top=(("archive", 6),))),
    "fewer sources": lambda head: replace(head, sources=replace(head.sources, distinct=0, top=())),
    "the table of sources": lambda head: replace(
        head, sources=replace(head.sources, table="blake3:" + "0" * 64)
    ),
    "labelers": lambda head: replace(head, labelers=replace(head.labelers, top=(("ann", 6),))),
    "classes": lambda head: replace(head, classes=("cat",)),
    "no classes": lambda head: replace(head, classes=(), label_type="none"),
    "a class twice": lambda head: replace(head, classes=("cat", "cat", "dog")),
    "no parent": lambda head: replace(head, parent=None),
    "swapped blocks": lambda head: with_parts(
        head, [replace(head.parts[0], blocks="blake3:" + "1" * 64)]
    ),
}


@pytest.mark.parametrize("lie", HEAD_LIES)
def test_a_signed_head_that_lies_about(bench: Bench, lie: str) -> None:
    head = first_head(bench)
    true = replace(head, version=2, parent=head.digest())
    error = refused(bench, HEAD_LIES[lie](true))
    assert error.step in (4, 10, 11)


@pytest.mark.parametrize(
    "field",
    [
        {"format": "provreg.head/v2"},
        {"critical": ["erasure"]},
        {"extra": 1},
        {"samples": -1},
        {"samples": 1.5},
        {"samples": 2**60},
        {"uid": "../../etc"},
        {"dataset": "../pets"},
        {"message": "x" * 5000},
        {"created": "2026-02-31T00:00:00Z"},
        {"parts": []},
        {"reading": []},
        {"label_type": "other"},
        {"changes": {}},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_signed_head_with_a_field_nobody_may_write(bench: Bench, field: dict[str, Any]) -> None:
    head = first_head(bench)
    document = json.loads(replace(head, version=2, parent=head.digest()).to_bytes()) | field
    try:
        data = canonical(document)
    except FormatError:
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    workspace = bench.open().workspace
    digest = workspace.objects.put(data, "sha256")
    statement = version_statement(
        dataset="pets", version=2, head=digest, uid=head.uid, root=head.root, samples=6
    )
    workspace.versions.add(digest, bench.signer().sign(statement), "pets")
    workspace.versions.claim("pets", 2, digest)
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 4
    assert caught.value.message


def test_a_signed_head_that_is_not_canonical(bench: Bench) -> None:
    head = first_head(bench)
    data = replace(head, version=2, parent=head.digest()).to_bytes() + b"\n"
    workspace = bench.open().workspace
    digest = workspace.objects.put(data, "sha256")
    workspace.versions.claim("pets", 2, digest)
    workspace.versions.add(digest, bench.signer().sign(b"{}"), "pets")
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 4


BAD_IDS = {
    "out of the folder": ["../../etc/passwd"],
    "up inside": ["a/../../b"],
    "absolute": ["/etc/passwd"],
    "here": ["./a"],
    "an empty segment": ["a//b"],
    "a trailing slash": ["a/"],
    "a backslash": ["a\\..\\b"],
    "an escape": ["a\x1b[2J"],
    "a line break": ["a\nb"],
    "a null byte": ["a\0b"],
    "a right-to-left override": ["a\u202egpj.exe"],
    "nothing": [""],
    "too much": ["a" * 4097],
    "descending order": ["b", "a"],
    "one id twice": ["a", "a"],
    "one file twice": ["A.jpg", "a.jpg"],
    "one file twice in Unicode": ["e\u0301.jpg", "\u00e9.jpg"],
}


@pytest.mark.parametrize("what", BAD_IDS)
def test_a_signed_manifest_with_an_id_that_is(bench: Bench, what: str) -> None:
    error = refused(bench, hostile(bench, entries_of(BAD_IDS[what])))
    assert error.step in (4, 11)
    assert not any(character in error.message for character in "\x1b\n\0\u202e")


BAD_COLUMNS: dict[str, dict[str, list[Any]]] = {
    "no source": {"source": [""]},
    "a long source": {"source": ["s" * 257]},
    "a long label": {"label": ["x" * 1025]},
    "label and digest": {"label": ["x"], "label_digest": [bytes(32)]},
    "attrs that are no JSON": {"attrs": ["{"]},
    "attrs that are not canonical": {"attrs": ['{"b": 1}']},
    "long attrs": {"attrs": ['"' + "x" * 5000 + '"']},
    "a long uri": {"uri": ["u" * 9000]},
}


@pytest.mark.parametrize("what", BAD_COLUMNS)
def test_a_signed_manifest_with(bench: Bench, what: str) -> None:
    assert refused(bench, hostile(bench, entries_of(["a"], **BAD_COLUMNS[what]))).step in (4, 11)


def test_parts_cut_elsewhere_than_their_ids_say(bench: Bench) -> None:
    ids = sorted(f"{n:05}" for n in range(200))
    head = hostile(bench, entries_of(ids))
    entries = entries_of(ids)
    parts = [part_of(bench, entries.slice(0, 100).combine_chunks()),
             part_of(bench, entries.slice(100).combine_chunks())]  # fmt: skip
    error = refused(bench, with_parts(head, parts))
    assert error.step == 11
    assert "ends too early" in error.message


def test_blocks_cut_elsewhere_than_their_ids_say(bench: Bench) -> None:
    import numpy as np

    entries = entries_of(sorted(f"{n:05}" for n in range(200)))
    head = hostile(bench, entries)
    objects = bench.open().workspace.objects
    other = block_list(leaves(entries), np.array([10, 200]))
    part = replace(head.parts[0], blocks=objects.put(other.to_bytes()))
    assert refused(bench, with_parts(head, [part])).step == 11


def test_part_files_that_hold_other_rows_than_their_blocks(bench: Bench) -> None:
    head = hostile(bench, entries_of(["a", "b"]))
    other = write_part(entries_of(["a", "b"], label=["cat", "dog"]))
    objects = bench.open().workspace.objects
    part = replace(head.parts[0], file=objects.put(other), size=len(other))
    assert refused(bench, with_parts(head, [part])).step == 11


def test_one_sound_file_does_not_vouch_for_another(bench: Bench) -> None:
    """The check that is remembered is of the pair of digests, not of the logical one alone."""
    head = hostile(bench, entries_of(["a", "b"]))
    bench.forge(head)
    bench.open().verify("pets")
    other = write_part(entries_of(["a", "b"], label=["cat", "dog"]))
    part = replace(head.parts[0], file=bench.open().workspace.objects.put(other), size=len(other))
    bench.forge(replace(with_parts(head, [part]), version=3, parent=head.digest()))
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 11


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"x" * 1000])
def test_part_files_that_are_no_parquet(bench: Bench, data: bytes) -> None:
    head = hostile(bench, entries_of(["a", "b"]), data + b"\0")
    assert refused(bench, head).step == 11


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False, **options)
    return sink.getvalue()


def plain_entries(entries: pa.Table) -> pa.Table:
    return entries.cast(pa.schema([field.with_type(plain_type(field)) for field in ENTRY]))


@pytest.mark.parametrize("what", ["column less", "column more", "type", "order", "row groups"])
def test_part_files_of_another_schema(bench: Bench, what: str) -> None:
    entries = entries_of(["a", "b"])
    table, options = plain_entries(entries), {}
    if what == "column less":
        table = table.drop_columns(["attrs"])
    elif what == "column more":
        table = table.append_column("evil", pa.array([1, 2]))
    elif what == "type":
        table = table.set_column(2, "size", pa.array([1, 1], pa.int64()))
    elif what == "order":
        table = table.select(["content", "id", *table.column_names[2:]])
    else:
        options = {"row_group_size": 1}
    assert refused(bench, hostile(bench, entries, parquet(table, **options))).step == 11


@pytest.mark.parametrize("column", ["attrs", "id", "label", "source", "uri"])
def test_a_decompression_bomb_is_refused_before_it_unfolds(column: str) -> None:
    # One text of 64 KiB in a dictionary, 200,000 times: 13 GB out of some kilobytes.
    rows = 200_000
    bomb = pa.array(["x" * (64 << 10)])
    columns = {field.name: pa.nulls(rows, plain_type(field)) for field in ENTRY}
    columns |= {
        "id": pa.array([f"{n:06}" for n in range(rows)]),
        "content": pa.array([bytes(32)] * rows, pa.binary(32)),
        "size": pa.array([1] * rows, pa.uint64()),
        "source": pa.array(["s"] * rows),
        column: pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int32()).fill_null(0), bomb),
    }
    schema = pa.schema(
        [pa.field(field.name, columns[field.name].type, field.nullable) for field in ENTRY]
    )
    table = pa.table([columns[field.name] for field in ENTRY], schema=schema)
    data = parquet(table, compression="zstd")
    assert len(data) < 4 << 20
    begun = time.monotonic()
    with pytest.raises(FormatError, match="longer"):
        read_part(data, rows=rows)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "reading",
    [
        {"reader": "folder"},
        {"reader": "other"},
        {"reader": "csv", "version": 1},
        {"reader": "folder", "labels_file": 5},
        {"reader": "folder", "labels_file": {"label": 1}},
        {"reader": "folder", "labels_file": [["label"]]},
        {"reader": "../../x"},
        {"reader": "parquet", "columns": [[[[[]]]]]},
    ],
    ids=str,
)
def test_a_signed_reading_that_is_none_fails_with_our_errors(
    bench: Bench, reading: dict[str, Any]
) -> None:
    head = first_head(bench)
    true = head.reading
    merged = (true | reading) if reading["reader"] == "folder" and len(reading) > 1 else reading
    bench.forge(replace(head, version=2, parent=head.digest(), reading=merged))
    with pytest.raises(ProvregError):
        bench.open().verify("pets", data=[bench.folder / "pets"])
    # A successor may be read afresh; what may not happen is any other error.
    with suppress(ProvregError):
        bench.ingest(bench.pets("more", count=8))


def test_false_counts_of_changes_are_a_finding(bench: Bench) -> None:
    head = first_head(bench)
    entries = bench.open().verify("pets").entries
    kept = entries.slice(1).combine_chunks()
    part = next(iter(build_parts(kept)))
    assert part.entries.num_rows == 5
    quiet = dict.fromkeys(head.changes, 0)
    forged = replace(
        with_parts(head, [part_of(bench, kept)]), version=2, parent=head.digest(), changes=quiet,
        sources=replace(
            head.sources,
            top=(("shelter", 5),),
            table=bench.open().workspace.objects.put(
                canonical([{"name": "shelter", "samples": 5}])
            ),
        ),
    )  # fmt: skip
    bench.forge(forged)
    registry = bench.open()
    registry.verify("pets")
    registry.sync()
    _, rows = registry.sql("select version, counts_true from versions order by version")
    assert rows == [(1, True), (2, False)]
    assert [problem.what for problem in registry.check(index=True)] == [
        "its head does not count its changes as they are"
    ]


def test_a_parent_of_another_dataset_is_refused(bench: Bench) -> None:
    head = first_head(bench)
    other = bench.ingest(bench.pets("plants"), name="plants")
    bench.forge(replace(head, version=2, parent=other.digest))
    registry = bench.open()
    assert [(one.dataset, one.number) for one in registry.sync()] == [("pets", 2)]
    with pytest.raises(NotTrustedError) as caught:
        registry.verify("pets")
    assert caught.value.step == 9


def test_a_parent_that_is_its_own_child_is_refused(bench: Bench) -> None:
    head = first_head(bench)
    two = replace(head, version=2, parent=head.digest())
    bench.forge(two)
    # No hash can contain itself, but a parent's number may be anything.
    bench.forge(replace(two, version=3, parent=bench.forge(replace(two, version=4), claim=False)))
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 9


def test_class_indices_that_were_swapped_are_refused(bench: Bench) -> None:
    first = bench.ingest(bench.pets())
    bench.open().verify("pets")
    assert first.head is not None
    assert first.head.classes == ("cat", "dog")
    swapped = replace(
        first.head, version=2, parent=first.digest, classes=("dog", "cat"),
        changes=dict.fromkeys(first.head.changes, 0),
    )  # fmt: skip
    bench.forge(swapped)
    with pytest.raises(NotTrustedError, match="renumbers its parent's classes") as refused:
        bench.open().verify("pets")
    assert refused.value.step == 9
    assert [one.number for one in bench.open().sync()] == [2]


@pytest.mark.parametrize("said", [True, False])
def test_sha256_of_other_bytes_than_the_digest_beside_it(bench: Bench, said: bool) -> None:
    """One file by BLAKE3 and another by SHA-256: each reader would be shown its own."""
    good, evil = b"good", b"evil"
    entries = entries_of(
        ["a.bin"],
        content=[blake3(good).digest()],
        size=[len(good)],
        content_sha256=[hashlib.sha256(evil).digest()],
    )
    head = hostile(bench, entries)
    reading = head.reading | {"label": "none"} | ({"sha256": True} if said else {})
    bench.forge(replace(head, reading=reading))
    data = bench.write("data", {"a.bin": good})
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[data])
    assert [finding.to_json() for finding in caught.value.findings] == [
        {
            "kind": "changed",
            "id": "a.bin",
            "expected": "sha256:" + hashlib.sha256(evil).hexdigest(),
            "found": "sha256:" + hashlib.sha256(good).hexdigest(),
            "source": "shelter",
        }
    ]
