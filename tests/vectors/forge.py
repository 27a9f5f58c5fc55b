"""Making registries byte by byte, sound ones and ones that break one rule.

Everything follows from this code alone, but the Parquet files: writers put their version into them,
so they are made once, kept in `parts/` and taken from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3
from signing import BY_ALICE, DROP, Bundles

from provreg.core.changes.changes import compare
from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import blake3_digest, sha256_digest
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import root_of_parts
from provreg.core.manifest.leaf import claims, leaves
from provreg.core.manifest.manifest import name_counts, name_table
from provreg.core.manifest.tree import BlockList, block_list, cut
from provreg.core.statements.statement import version_statement
from provreg.store.registry.parts import write_part
from tests.parts import Part, build_parts

HERE = Path(__file__).parent
UID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHER_UID = "00112233445566778899aabbccddeeff"
CREATED = "2026-11-22T00:00:00Z"
FOLDER = {"reader": "folder", "reader_version": 1, "label": "dir", "split": "none", "include": [],
          "exclude": [], "left_out": {}}  # fmt: skip

FILE_SCHEMA = pa.schema(
    [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in ENTRY
    ]
)


def entry(identity: str, payload: str | None = None, **columns: Any) -> dict[str, Any]:
    """One entry as a dict; its payload is its id unless given."""
    data = (identity if payload is None else payload).encode()
    plain = {"id": identity, "content": blake3(data).digest(), "size": len(data)}
    return plain | {"source": "shelter"} | columns


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ENTRY)


PETS = {f"{label}/{number}.jpg": f"a picture of a {label}, number {number}"
        for label in ("cat", "dog") for number in (1, 2, 3)}  # fmt: skip


def pets(**columns: Any) -> list[dict[str, Any]]:
    """Six labeled pictures, the rows most vectors begin with."""
    return [
        entry(identity, payload) | {"label": identity.partition("/")[0], "labeler": "ann"} | columns
        for identity, payload in PETS.items()
    ]


# With `many` entries the first part ends before SECOND. The id before INSIDE could end it too, and
# is behind the fewest entries of a part, but stands inside a block.
INSIDE, SECOND = 16462, 16602


def many() -> list[dict[str, Any]]:
    """16,900 entries, which make two parts."""
    names = {INSIDE - 1: "16461-167472", SECOND - 1: "16601-23136"}
    return [entry(names.get(number, f"{number:05}"), "x") for number in range(16900)]


def document(rows: pa.Table, parts: Sequence[dict[str, Any]], /, **facts: Any) -> dict[str, Any]:
    """A true head as JSON, but for what `facts` say; a fact that is DROP is left out."""
    counts = {}
    for name in ("source", "labeler"):
        names = name_counts(rows.column(name))
        top = [{"name": text, "samples": samples} for text, samples in names[:20]]
        counts[name + "s"] = {
            "distinct": len(names), "top": top, "table": blake3_digest(name_table(names))
        }  # fmt: skip
    labels = sorted({label for label, _ in name_counts(rows.column("label"))}, key=str.encode)
    empty = ENTRY.empty_table()
    head: dict[str, Any] = {
        "format": "provreg.head/v1",
        "critical": [],
        "dataset": "pets",
        "uid": UID,
        "version": 1,
        "parent": None,
        "root": root_of_parts([(part["rows"], part["blocks"]) for part in parts]),
        "samples": sum(part["rows"] for part in parts),
        "parts": list(parts),
        "reading": FOLDER,
        "label_type": "class" if labels else "none",
        "classes": labels,
        "changes": compare(empty, empty).counts() | {"injected": rows.num_rows},
        **counts,
        "reused_digests": 0,
        "created": CREATED,
        "message": "",
    }
    return {name: value for name, value in (head | facts).items() if value is not DROP}


@dataclass
class Kept:
    """Parquet files: taken from `folder` where they are there, else made."""

    folder: Path
    files: dict[str, bytes] = default(default_factory=dict)

    def file(self, name: str, make: Callable[[], bytes]) -> bytes:
        path = self.folder / f"{name}.parquet"
        if name not in self.files:
            self.files[name] = path.read_bytes() if path.is_file() else make()
        return self.files[name]

    def of(self, name: str, entries: pa.Table) -> bytes:
        """The file of `entries`, which a kept one must hold."""
        data = self.file(name, lambda: write_part(entries))
        if not pq.read_table(pa.BufferReader(data)).equals(entries.cast(FILE_SCHEMA)):
            raise ValueError(f"parts/{name}.parquet does not hold the entries of the code")
        return data


@dataclass
class Forge:
    """One registry, written key by key."""

    kept: Kept
    files: dict[str, bytes] = default(default_factory=dict)
    facts: dict[str, Any] = default(default_factory=dict)

    def put(self, data: bytes, *, digest: str | None = None) -> str:
        """Stores an object, under another digest than its own where one is given."""
        name = digest or blake3_digest(data)
        self.files[object_key(name)] = data
        return name

    def drop(self, digest: str) -> None:
        del self.files[object_key(digest)]

    def part(self, part: Part, data: bytes, **facts: Any) -> dict[str, Any]:
        """Stores a part's file and block list; what the head says of them."""
        ids = part.entries.column("id")
        self.put(part.blocks.to_bytes())
        true = {
            "blocks": part.blocks.logical_digest(),
            "file": self.put(data),
            "size": len(data),
            "rows": len(ids),
            "first": ids[0].as_py(),
            "last": ids[len(ids) - 1].as_py(),
        }
        return {name: value for name, value in (true | facts).items() if value is not DROP}

    def parts(self, name: str, rows: pa.Table) -> list[dict[str, Any]]:
        """The parts of `rows` as the format cuts them."""
        made = list(build_parts(rows))
        names = [name] if len(made) == 1 else [f"{name}-{place}" for place in range(len(made))]
        return [
            self.part(part, self.kept.of(label, part.entries))
            for label, part in zip(names, made, strict=True)
        ]

    def version(
        self,
        rows: pa.Table,
        parts: Sequence[dict[str, Any]],
        /,
        *,
        bundles: Bundles = BY_ALICE,
        statement: Mapping[str, Any] | None = None,
        payload: Callable[[bytes], bytes] | None = None,
        spelled: Callable[[bytes], bytes] | None = None,
        place: tuple[str, int] | None = None,
        record: Callable[[str], bytes] | None = None,
        **facts: Any,
    ) -> str:
        """Publishes a head with these `facts`; its digest.

        `statement` changes facts of the statement, `payload` its bytes, `spelled` the head's. The
        number taken is that of `place`, its record what `record` makes of the head's digest.
        """
        for name in ("source", "labeler"):
            self.put(name_table(name_counts(rows.column(name))))
        head = document(rows, parts, **facts)
        data = canonical(head) if spelled is None else spelled(canonical(head))
        digest = sha256_digest(data)
        self.put(data, digest=digest)
        dataset, number = place or (head.get("dataset", "pets"), head.get("version", 1))
        said = {"dataset": dataset, "version": number, "head": digest, "uid": UID,
                "root": head.get("root"), "samples": head.get("samples")}  # fmt: skip
        signed = version_statement(**(said | dict(statement or {})))
        for made in bundles(signed if payload is None else payload(signed)):
            self.add_bundle(dataset, digest, made)
        self.files[record_key(dataset, number)] = (
            version_record(digest, number) if record is None else record(digest)
        )
        self.facts = describe(rows, parts, digest, signed)
        return digest

    def add_bundle(
        self, dataset: str, head: str, made: dict[str, Any] | bytes, *, name: str | None = None
    ) -> None:
        data = made if isinstance(made, bytes) else canonical(made)
        name = name or sha256_digest(data)
        self.files[f"datasets/{dataset}/signatures/{segment(head)}/{segment(name)}"] = data


def segment(digest: str) -> str:
    """A digest in a key."""
    return digest.replace(":", "-")


def object_key(digest: str) -> str:
    name = segment(digest)
    return f"objects/{name.partition('-')[2][:2]}/{name}"


def record_key(dataset: str, number: int) -> str:
    return f"datasets/{dataset}/versions/{number:08d}.json"


def version_record(digest: str, number: int) -> bytes:
    return canonical({"head": digest, "nonce": f"{number:032x}"})


def describe(
    rows: pa.Table, parts: Sequence[dict[str, Any]], digest: str, statement: bytes
) -> dict[str, Any]:
    """What another implementation must find in a sound version."""
    facts: dict[str, Any] = {
        "head": digest,
        "samples": rows.num_rows,
        "root": root_of_parts([(part["rows"], part["blocks"]) for part in parts]),
        "parts": [part["blocks"] for part in parts],
        "blocks": [int(count) for part in build_parts(rows) for count in part.blocks.counts],
        "statement": statement.decode(),
    }
    if rows.num_rows <= 20:
        facts["claims"] = _each(b"".join(claims(batch) for batch in rows.to_batches()))
        facts["leaves"] = _each(leaves(rows))
    return facts


def _each(digests: bytes) -> list[str]:
    return [digests[at : at + 32].hex() for at in range(0, len(digests), 32)]


def uncut(rows: pa.Table, ends: Sequence[int] | None = None) -> Part:
    """`rows` as one part, its blocks ending where `ends` say or, by default, where they should."""
    import numpy as np

    blocks = cut(rows.column("id")).blocks if ends is None else np.array(ends, np.int64)
    made: BlockList = block_list(leaves(rows), blocks)
    return Part(rows.combine_chunks(), made)
