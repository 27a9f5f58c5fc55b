"""Sound versions, and what another implementation must find in them."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from blake3 import blake3
from case import Case, one_version
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from forge import FOLDER, PETS, Forge, Kept, entry, many, pets, table
from signing import bundle, by, envelope, policy

from provreg.core.changes.origin import OriginDefaults, assign_origin
from provreg.core.encoding.canonical import canonical
from provreg.core.manifest.manifest import sort_entries
from provreg.core.statements.statement import PAYLOAD_TYPE, pae
from provreg.flows.reading.samples import read_new
from provreg.readers.api import ReadOptions

TABLE = {"reader": "jsonl"}
LONG = "a label of more than 1,024 bytes, for example a long answer to a question " * 20
CSV = """\
key,question,price,asked_at,fold
q2,"What is 2 + 2?",-1.50,2026-11-22T10:00:00+01:00,train
q1,Wer war's?,,2026-11-22T08:59:59.5Z,test
q3,"a
b",7.25,,train
"""
TYPES = {"price": {"decimal": 2}, "asked_at": "timestamp-utc"}


def _full() -> list[dict[str, Any]]:
    """Entries with every optional column, alone and together."""
    every = {
        "label": "cat", "labeler": "ann", "labeled_at": 1_795_305_600_123_456, "split": "train",
        "delivery": blake3(b"a delivery").digest(), "uri": "https://example.org/1.jpg",
        "annotations": [{"label": "cat", "labeler": "ann", "labeled_at": 1_795_305_600_000_000}],
        "content_sha256": hashlib.sha256(b"x").digest(), "attrs": '{"width":32}',
    }  # fmt: skip
    rows = [entry(f"only-{name}", "x", **{name: value}) for name, value in sorted(every.items())]
    return [
        entry("all", "x", **every),
        entry("empty-texts", "", label="", labeler="", split="", uri="", attrs='""'),
        entry("largest", "x", size=2**64 - 1, labeled_at=253_402_300_799_999_999),
        entry("oldest", "x", labeled_at=-62_135_596_800_000_000),
        *rows,
    ]  # fmt: skip


def _annotated() -> list[dict[str, Any]]:
    notes = [
        {"label": "cat", "labeler": "ann", "labeled_at": 1_795_305_600_000_000},
        {"label": "dog", "labeler": None, "labeled_at": None},
        {"label": None, "labeler": None, "labeled_at": None},
    ]
    return [
        entry("1", label="cat", annotations=notes),
        entry("2", label="dog", annotations=[]),
        entry("3", label="dog"),
    ]


def _aggregated() -> list[dict[str, Any]]:
    def notes(*labels: str | None) -> list[dict[str, Any]]:
        names = zip(labels, "abc", strict=False)
        return [{"label": label, "labeler": name, "labeled_at": None} for label, name in names]

    return [
        entry("1", label="cat", annotations=notes("cat", "dog", "cat")),
        entry("2", annotations=notes("cat", "dog")),
        entry("3", annotations=notes(None)),
        entry("4", label="cat", annotations=notes(None, "cat")),
        entry("5", label="dog", labeler="ann"),
        entry("6", annotations=[]),
    ]


IDS = (
    "Zebra", "a b", "a/b", "cafe\u0301", "caf\u00e9", "e\u0301", "stra\u00dfe", "\u0394",
    "\u6f22\u5b57", "\uff5e", "\U0001f600", "\U0010ffff",
)  # fmt: skip

# Marks of 22,368,769 and 22,371,197; the bound is 22,369,621.
MARKED = {64: "0064-2427264", 129: "0129-69810"}

# (name, what it is, rows, facts of the head)
ROWS: tuple[tuple[str, str, list[dict[str, Any]], dict[str, Any]], ...] = (
    ("one-sample", "One sample with nothing that can be left out.", [entry("1")], {}),
    ("worked-example", "The version that the pages of the format write out byte by byte.",
     [entry("1.txt", "a picture", label="cat", labeler="ann")],
     {"reading": FOLDER | {"label": "none", "labels_file": ["label", "source", "labeler"]}}),
    ("all-optional-fields", "Every optional field, alone and with the others.", _full(),
     {"reading": TABLE}),
    ("attrs-of-64-levels", "Numbers and empty arrays may stand on level 64.",
     [entry("1", attrs="[" * 63 + "1" + "]" * 63), entry("2", attrs="[" * 64 + "]" * 64)],
     {"reading": TABLE}),
    ("annotations", "Several people's labels; no annotations and an empty list are two things.",
     _annotated(), {"reading": TABLE}),
    ("aggregation", "The label is that of most annotations, and none where they are tied.",
     _aggregated(), {"reading": TABLE | {"aggregation": "majority"}}),
    ("long-labels", "Labels of more than 1,024 bytes are kept as digests.",
     [entry("1", label="short"), entry("2", label_digest=blake3(LONG.encode()).digest())],
     {"label_type": "text", "classes": [], "reading": TABLE}),
    ("text-labels-of-few-kinds", "Labels that could be classes may be declared texts.", pets(),
     {"label_type": "text", "classes": []}),
    ("classes-with-joiners", "Joiners and selectors stand where letters and emoji need them.",
     [entry("1", label="\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
      entry("2", label="\u0915\u094d\u200d\u0937"),
      entry("3", label="\U0001f468\u200d\U0001f469\u200d\U0001f467"),
      entry("4", label="\u2764\ufe0f\u200d\U0001f525"), entry("5", label="1\ufe0f\u20e3")], {}),
    ("labels-that-hide", "Labels that are texts hold whatever they hold.",
     [entry("1", label="a\u200bb"), entry("2", label="ab")],
     {"label_type": "text", "classes": [], "reading": TABLE}),
    ("classes-without-labels", "Classes that no sample has any more stay classes.",
     [entry("1", label="dog"), entry("2")], {"classes": ["cat", "dog"]}),
    ("classes-in-an-order-of-the-data", "Classes need not be sorted: data that number them have an"
     " order of their own.", [entry("1", label="dog"), entry("2", label="cat")],
     {"classes": ["dog", "cat"]}),
    ("unicode-ids", "Ids are sorted by their bytes and not normalised.",
     [entry(identity) for identity in sorted(IDS, key=str.encode)], {"reading": TABLE}),
    ("several-blocks", "Blocks end where their ids say.",
     [entry(f"{number:04}", "x") for number in range(400)], {}),
    ("marks-beside-the-bound", "The first block ends with a mark just below the bound; one just"
     " above it ends none.", [entry(MARKED.get(n, f"{n:04}"), "x") for n in range(140)], {}),
    ("blocks-of-long-ids", "A block ends with the id that brings its ids to 64 KiB.",
     [entry(f"{number:04}" + "x" * 4000, "x") for number in range(40)], {}),
    ("several-parts", "Parts end where their ids say.", many(), {}),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    for name, claim, rows, facts in ROWS:
        forge = Forge(kept)
        entries = table(rows)
        forge.version(entries, forge.parts(f"good-{name}", entries), **facts)
        yield Case(f"good-{name}", claim, forge.files, facts=forge.facts)
    forge = Forge(kept)
    forge.version(table(pets()), forge.parts("pets", table(pets())))
    yield Case("good-folder", "A folder of files, with its data.", forge.files, facts=forge.facts,
               data=PETS)  # fmt: skip
    yield _typed_table(kept)
    yield from _signed(kept)
    yield one_version(
        kept, "good-lost-block-list",
        "A block list is recomputed: a version verifies without it.",
        change=lambda forge, _: forge.drop(forge.facts["parts"][0]),
    )  # fmt: skip
    yield one_version(
        kept, "good-lost-name-tables",
        "The tables of sources and labelers are recomputed: a version verifies without them.",
        change=_without_tables,
    )  # fmt: skip


def _without_tables(forge: Forge, _head: str) -> None:
    forge.files = {
        key: data for key, data in forge.files.items() if not data.startswith(b'[{"name"')
    }


def _typed_table(kept: Kept) -> Case:
    from provreg.core.rows.column import columns_from_json

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(CSV, "utf-8")
        named = [{"name": name, "type": kind} for name, kind in TYPES.items()]
        types = {column.name: column.type for column in columns_from_json(named, "types")}
        samples = read_new([path], ReadOptions(id="key", split="fold", types=types), None)
    entries = assign_origin(
        sort_entries(samples.table),
        None,
        OriginDefaults("exam", None),
        labels_known=False,
        splits_known=True,
    )
    forge = Forge(kept)
    rows = pa.Table.from_pylist(entries.to_pylist(), schema=entries.schema)
    forge.version(rows, forge.parts("good-typed-table", rows), reading=samples.reading)
    return Case(
        "good-typed-table", "A CSV file with typed columns, with its data.", forge.files,
        facts=forge.facts, data={"rows.csv": CSV},
    )  # fmt: skip


def _signed(kept: Kept) -> Iterator[Case]:
    yield one_version(
        kept, "good-two-principals", "Two of two principals have signed, a bundle each.",
        trust=policy("alice", "bob", threshold=2), bundles=by("alice", "bob"),
    )  # fmt: skip
    yield one_version(
        kept, "good-bundles-of-strangers", "Bundles that do not verify are passed over.",
        bundles=lambda payload: [bundle(payload), bundle(payload, "mallory"), b"squatted"],
    )  # fmt: skip
    yield one_version(
        kept, "good-bundle-in-another-spelling", "A bundle may be any spelling of its JSON.",
        bundles=lambda payload: [canonical(bundle(payload)).replace(b",", b",\n ")],
    )  # fmt: skip
    yield one_version(
        kept, "good-bundle-with-a-wrong-hint", "A hint decides nothing.",
        bundles=lambda payload: [
            bundle(payload, verificationMaterial={"publicKey": {"hint": "?"}, "tlogEntries": []})
        ],
    )  # fmt: skip
    p256 = ec.derive_private_key(
        int.from_bytes(hashlib.sha256(b"provreg test vectors, a P-256 test key").digest()),
        ec.SECP256R1(),
    )
    pem = p256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    trust = policy("alice")
    trust["principal"][0]["keys"] = [pem]

    def signed(payload: bytes) -> list[dict[str, Any] | bytes]:
        scheme = ec.ECDSA(SHA256(), deterministic_signing=True)
        made = base64.b64encode(p256.sign(pae(PAYLOAD_TYPE, payload), scheme)).decode()
        return [bundle(payload, dsseEnvelope=envelope(payload) | {"signatures": [{"sig": made}]})]

    yield one_version(
        kept, "good-p256-key", "A version signed with a P-256 key.", trust=trust, bundles=signed
    )
