"""Making data: from fixed seeds, so that every machine measures the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FOLDER_OF = 1000
_CHUNK = 1 << 20


def make_files(folder: str, count: str, size: str) -> dict[str, Any]:
    """`count` files of `size` random bytes, 1,000 to a folder: `class_0001/00001234.bin`."""
    numbers = random.Random(int(count) * int(size))
    for number in range(int(count)):
        path = Path(folder, f"class_{number // _FOLDER_OF:04d}", f"{number:08d}.bin")
        if number % _FOLDER_OF == 0:
            path.parent.mkdir(parents=True)
        # A large file is one megabyte over and over: hashing takes no notice.
        data = numbers.randbytes(min(_CHUNK, int(size)))
        with path.open("wb") as file:
            for start in range(0, int(size), _CHUNK):
                file.write(data[: int(size) - start])
    return {}


# How many hex digests make the text of a row, by its width in bytes.
_DIGESTS = {"32": 1, "250": 7, "10000": 312}


def make_rows(folder: str, format_: str, rows: str, width: str) -> dict[str, Any]:
    """`rows.FORMAT`: a key, a text, two numbers and a class; `width` is 32, 250 or 10000 bytes."""
    import duckdb

    Path(folder).mkdir(parents=True)
    digests = ", ".join(f"md5(concat(i, '-{number}'))" for number in range(_DIGESTS[width]))
    options = {"parquet": "format parquet", "csv": "format csv, header", "jsonl": "format json"}
    duckdb.sql(
        f"""copy (
            select 'row-' || lpad(i::varchar, 9, '0') as key, concat({digests}) as text,
                   (i * 7919) % 1000003 as number,
                   (i % 8192) / 4096.0::double as score, 'class-' || (i % 100) as class
            from range({int(rows)}) r(i)
        ) to '{folder}/rows.{format_}' ({options[format_]})"""
    )
    return {}


def make_lines(folder: str, lines: str, versions: str) -> dict[str, Any]:
    """`0001.jsonl` …: versions of a dataset of texts; each relabels or rewrites ten lines."""
    numbers = random.Random(20)
    words = [f"word{number}" for number in range(5000)]
    rows = [
        {"id": f"{at:06d}", "text": " ".join(numbers.choices(words, k=40)), "label": "keep"}
        for at in range(int(lines))
    ]
    Path(folder).mkdir(parents=True)
    for version in range(1, int(versions) + 1):
        for at in numbers.sample(range(len(rows)), 10):
            if numbers.random() < 0.5:
                rows[at]["label"] = f"label-{numbers.randrange(20)}-{version}"[:8]
            else:
                rows[at]["text"] = " ".join(numbers.choices(words, k=40))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        Path(folder, f"{version:04d}.jsonl").write_text(text, "utf-8")
    return {}


def make_versions(registry: str, key: str, entries: str, *changes: str) -> dict[str, Any]:
    """Versions of `entries` entries of the kind of the speed facts, signed and published.

    Path-like ids, 1,000 labels in the order of the paths, 20 sources, 500 labelers, random digests
    and sizes. Each further version gives `changes` entries, scattered at random, another label.
    Entries are made in memory, there are no files: everything after the reading is the real thing.
    """
    import numpy as np
    import pyarrow as pa

    from provreg.core.change import BIT, Changes
    from provreg.core.entry import ENTRY
    from provreg.flows.draft import Draft, Parent, Samples
    from provreg.flows.publish import publish
    from provreg.flows.trusting import trust_signer
    from provreg.registry import Registry
    from provreg.trust.keyfile import load_private
    from provreg.trust.signer import KeySigner

    count = int(entries)
    numbers = np.random.default_rng(20)
    table = _entries(count, numbers)
    labels = table.column("label").combine_chunks()
    signer = KeySigner(load_private(Path(key), lambda: None))
    trust = trust_signer(signer)
    workspace = Registry.open(Path(registry)).workspace
    samples = Samples(table, _READING, labels_known=True, splits_known=False)

    def first(_: Parent | None) -> Draft:
        empty = ENTRY.empty_table()
        kinds = np.full(count, BIT["injected"], np.uint8)
        none = np.full(count, -1, np.int64)
        made = Changes(empty, table, kinds, none, np.arange(count))
        return Draft("data", None, table, made, samples)

    def following(codes: Any, rows: Any) -> Callable[[Parent | None], Draft]:
        def make(parent: Parent | None) -> Draft:
            assert parent is not None
            place = ENTRY.get_field_index("label")
            label = pa.DictionaryArray.from_arrays(pa.array(codes), labels.dictionary)
            entries = parent.entries.unify_dictionaries().combine_chunks()
            entries = entries.set_column(place, ENTRY.field("label"), label)
            kinds = np.full(len(rows), BIT["relabeled"], np.uint8)
            made = Changes(parent.entries, entries, kinds, rows, rows)
            return Draft("data", parent, entries, made, samples)

        return make

    publish(workspace, first, signer, trust, dataset="data", message="made by the benchmark")
    codes = labels.indices.to_numpy().copy()
    for changed in map(int, changes):
        rows = np.sort(numbers.choice(count, changed, replace=False))
        codes[rows] = (codes[rows] + 1) % len(labels.dictionary)
        make = following(codes.copy(), rows)
        publish(workspace, make, signer, trust, dataset="data", message=f"{changed} relabeled")
    return {}


_READING: dict[str, Any] = {
    "reader": "folder", "reader_version": 1, "label": "dir", "split": "none",
    "include": [], "exclude": [], "left_out": {},
}  # fmt: skip


def _entries(count: int, numbers: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from provreg.core.entry import ENTRY

    def names(codes: Any, pattern: str, distinct: int) -> Any:
        words = pa.array([pattern.format(number) for number in range(distinct)])
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)

    classes = np.arange(count) * 1000 // count
    label = names(classes, "class_{:04d}", 1000)
    digits = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), 8, padding="0")
    folder = label.cast(pa.string())
    columns = {
        "id": pc.binary_join_element_wise("train", folder, pc.binary_join_element_wise(
            digits, ".jpg", ""), "/"),
        "content": pa.Array.from_buffers(
            pa.binary(32), count, [None, pa.py_buffer(numbers.bytes(32 * count))]),
        "size": pa.array(numbers.integers(1000, 5000, count).astype(np.uint64)),
        "label": label,
        "source": names(numbers.integers(0, 20, count), "https://example.org/source/{}", 20),
        "labeler": names(numbers.integers(0, 500, count), "labeler-{:03d}@example.org", 500),
    }  # fmt: skip
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in ENTRY]
    return pa.table(arrays, schema=ENTRY)
