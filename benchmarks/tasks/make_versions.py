"""Versions of very many entries, made in memory: from fixed seeds, as `make`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# One entry in so many of `make_versions` is of bytes that are known.
EVERY = 500


def make_known_files(folder: str, entries: str) -> dict[str, Any]:
    """The files of those samples of `make_versions` whose bytes are known."""
    count = int(entries)
    for number in range(0, count, EVERY):
        path = Path(folder, "train", f"class_{number * 1000 // count:04d}", f"{number:08d}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_known(number))
    return {}


def _known(number: int) -> bytes:
    return b"sample %d" % number


def make_versions(registry: str, key: str, entries: str, *changes: str) -> dict[str, Any]:
    """Versions of `entries` entries of the kind of the speed facts, signed and published.

    Path-like ids, 1,000 labels in the order of the paths, 20 sources, 500 labelers, random digests
    and sizes but for one entry in EVERY. Each further version gives `changes` entries, scattered at
    random, another label. Entries are made in memory, without files: everything after the reading
    is the real thing.
    """
    import numpy as np
    import pyarrow as pa

    from provreg.core.changes.changes import BIT, Changes
    from provreg.core.manifest.entry import ENTRY
    from provreg.core.statements.statement import statement_of
    from provreg.flows.ingest.draft import Draft, Parent
    from provreg.flows.ingest.publish import find_parent, publish
    from provreg.flows.ingest.seal import seal
    from provreg.flows.session.trust import trust_signer
    from provreg.flows.verify.manifest import blocks_of
    from provreg.readers.api import ReadResult
    from provreg.registry import Registry
    from provreg.trust.keys import load_private
    from provreg.trust.signers import KeySigner

    count = int(entries)
    numbers = np.random.default_rng(20)
    table = _entries(count, numbers)
    labels = table.column("label").combine_chunks()
    signer = KeySigner(load_private(Path(key), lambda: None))
    trust = trust_signer(signer)
    workspace = Registry.open(Path(registry)).workspace
    read = ReadResult(table, _READING, labels_known=True, splits_known=False)

    def first(_: Parent | None) -> Draft:
        empty = ENTRY.empty_table()
        kinds = np.full(count, BIT["injected"], np.uint8)
        none = np.full(count, -1, np.int64)
        made = Changes(empty, table, kinds, none, np.arange(count))
        return Draft("data", None, table, made, read)

    def following(codes: Any, rows: Any) -> Callable[[Parent | None], Draft]:
        def make(parent: Parent | None) -> Draft:
            assert parent is not None
            place = ENTRY.get_field_index("label")
            label = pa.DictionaryArray.from_arrays(pa.array(codes), labels.dictionary)
            entries = parent.entries.unify_dictionaries().combine_chunks()
            entries = entries.set_column(place, ENTRY.field("label"), label)
            kinds = np.full(len(rows), BIT["relabeled"], np.uint8)
            made = Changes(parent.entries, entries, kinds, rows, rows)
            return Draft("data", parent, entries, made, read)

        return make

    def published(make: Callable[[Parent | None], Draft], message: str) -> None:
        before, _ = find_parent(workspace, "data", trust)
        drafted = make(Parent.of(before))
        sealed = seal(
            drafted,
            number=1 if before is None else before.head.version + 1,
            created=datetime.now(UTC),
            message=message,
            parents_blocks=() if before is None else blocks_of(workspace, before.head),
        )
        bundle = signer.sign(statement_of(sealed.head))
        publish(workspace, drafted, sealed, bundle, trust, trust, propose=False, waits=())

    published(first, "made by the benchmark")
    codes = labels.indices.to_numpy().copy()
    for changed in map(int, changes):
        rows = np.sort(numbers.choice(count, changed, replace=False))
        codes[rows] = (codes[rows] + 1) % len(labels.dictionary)
        published(following(codes.copy(), rows), f"{changed} relabeled")
    return {}


_READING: dict[str, Any] = {
    "reader": "folder", "reader_version": 1, "label": "dir", "split": "none",
    "include": [], "exclude": [], "left_out": {},
}  # fmt: skip


def _entries(count: int, numbers: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from blake3 import blake3

    from provreg.core.manifest.entry import ENTRY

    def names(codes: Any, pattern: str, distinct: int) -> Any:
        words = pa.array([pattern.format(number) for number in range(distinct)])
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)

    classes = np.arange(count) * 1000 // count
    label = names(classes, "class_{:04d}", 1000)
    digits = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), 8, padding="0")
    folder = label.cast(pa.string())
    content = bytearray(numbers.bytes(32 * count))
    size = numbers.integers(1000, 5000, count).astype(np.uint64)
    for number in range(0, count, EVERY):
        content[32 * number : 32 * number + 32] = blake3(_known(number)).digest()
        size[number] = len(_known(number))
    columns = {
        "id": pc.binary_join_element_wise("train", folder, pc.binary_join_element_wise(
            digits, ".jpg", ""), "/"),
        "content": pa.Array.from_buffers(pa.binary(32), count, [None, pa.py_buffer(content)]),
        "size": pa.array(size),
        "label": label,
        "source": names(numbers.integers(0, 20, count), "https://example.org/source/{}", 20),
        "labeler": names(numbers.integers(0, 500, count), "labeler-{:03d}@example.org", 500),
    }  # fmt: skip
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in ENTRY]
    return pa.table(arrays, schema=ENTRY)
