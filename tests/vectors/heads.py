"""Version records and heads that break one rule each (steps 1 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from case import Case, one_version
from forge import FOLDER, UID, Kept, object_key, version_record
from signing import DROP

from provreg.core.encoding.canonical import canonical

DIGEST = "blake3:" + "ab" * 32
SHA = "sha256:" + "ab" * 32
CHANGES = dict.fromkeys(
    ("removed", "relabeled", "modified", "renamed", "reattributed", "resplit"), 0
) | {"injected": 6}
COUNTS = {"distinct": 1, "top": [{"name": "shelter", "samples": 6}], "table": DIGEST}
PART = {"blocks": DIGEST, "file": DIGEST, "size": 1, "rows": 3, "first": "a", "last": "b"}

# (name, what is wrong, what the message says, the head's facts)
FACTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("unknown-field", "an unknown field", "an unknown field 'colour'", {"colour": "red"}),
    ("unknown-format", "an unknown major format", "format 'provreg.head/v2'",
     {"format": "provreg.head/v2"}),
    ("unknown-critical", "an unknown entry in `critical`", "requires 'erasures'",
     {"critical": ["erasures"]}),
    ("missing-field", "a field missing", "lacks the field reused_digests",
     {"reused_digests": DROP}),
    ("null-field", "null where a value must stand", "message is not a text", {"message": None}),
    ("text-for-number", "a number written as text", "samples is not an integer",
     {"samples": "6"}),
    ("boolean-for-number", "true where a number must stand", "version is not an integer",
     {"version": True}),
    ("fraction-for-number", "a fraction where an integer must stand",
     "reused_digests is not an integer", {"reused_digests": 0.5}),
    ("negative-count", "a negative count", "removed is -1", {"changes": CHANGES | {"removed": -1}}),
    ("dotted-dataset", "a dataset name with `..`", "is not a dataset name", {"dataset": "a..b"}),
    ("dataset-ending-in-a-dot", "a dataset name that Windows shares take for another",
     "dataset is 'pets.'", {"dataset": "pets."}),
    ("upper-case-dataset", "a dataset name in upper case", "dataset is 'Pets'",
     {"dataset": "Pets"}),
    ("uid", "a uid that is not 32 lower-case hex digits", "uid is", {"uid": UID.upper()}),
    ("version-zero", "version number 0", "version is 0", {"version": 0}),
    ("version-too-large", "a version number of nine digits", "version is 100000000",
     {"version": 100_000_000}),
    ("parent-in-version-1", "a parent in version 1", "has a parent unless", {"parent": SHA}),
    ("no-parent-in-version-2", "no parent in version 2", "has a parent unless", {"version": 2}),
    ("parent-blake3", "a parent named by another digest than sha256",
     "parent is not a sha256 digest", {"parent": DIGEST, "version": 2}),
    ("digest-upper-case", "a digest in upper case", "is not a digest",
     {"root": "blake3:" + "AB" * 32}),
    ("wrong-root", "a root that does not follow from its parts", "root does not follow",
     {"root": DIGEST}),
    ("false-sum", "parts that do not add up to its samples", "do not add up", {"samples": 7}),
    ("part-unknown-field", "an unknown field in a part", "an unknown field 'index'",
     {"parts": [PART | {"index": 1}]}),
    ("part-without-rows", "a part of no rows", "rows is 0", {"parts": [PART | {"rows": 0}]}),
    ("part-of-too-many-rows", "a part of more than 2^18 rows", "rows is 262145",
     {"parts": [PART | {"rows": 2**18 + 1}]}),
    ("part-file-too-large", "a part file of more than 4 GiB", "size is",
     {"parts": [PART | {"size": 2**32 + 1}]}),
    ("part-id-too-long", "a part's first id longer than any id", "first is longer",
     {"parts": [PART | {"first": "a" * 4097}]}),
    ("reading-without-reader", "a reading that names no reader", "does not name a reader",
     {"reading": {"label": "dir"}}),
    ("reading-is-no-object", "a reading that is no object", "does not name a reader",
     {"reading": [FOLDER]}),
    ("label-type", "an unknown label type", "label_type is 'rank'", {"label_type": "rank"}),
    ("class-twice", "a class twice", "a duplicate class", {"classes": ["cat", "dog", "cat"]}),
    ("class-is-no-text", "a class that is no text", "not an array of texts",
     {"classes": ["cat", 1]}),
    ("class-too-long", "a class of more than 1,024 bytes", "a text longer than 1024 bytes",
     {"classes": ["cat", "dog", "é" * 513]}),
    ("class-zero-width", "a class that holds a character of no width", "a hidden character",
     {"classes": ["cat", "dog", "dog\u200b"]}),
    ("class-joiner-between-latin-letters", "a class with a joiner that joins nothing",
     "a hidden character", {"classes": ["cat", "dog", "do\u200cg"]}),
    ("class-joiner-at-the-end", "a class with a joiner behind all letters", "a hidden character",
     {"classes": ["cat", "dog", "\u0645\u06cc\u200c"]}),
    ("class-selector-behind-a-letter", "a class with a variation selector behind a letter",
     "a hidden character", {"classes": ["cat", "dog", "dog\ufe0f"]}),
    ("class-tag", "a class with a tag", "a hidden character",
     {"classes": ["cat", "dog", "dog\U000e0061"]}),
    ("class-twice-in-composition", "two classes that are one in form C",
     "differ only in composition", {"classes": ["cat", "dog", "é", "e\u0301"]}),
    ("classes-of-texts", "classes though its labels are texts", "has classes but",
     {"label_type": "text"}),
    ("changes-without-a-kind", "no count for one kind of change", "lacks the field resplit",
     {"changes": {kind: count for kind, count in CHANGES.items() if kind != "resplit"}}),
    ("changes-of-an-unknown-kind", "a count for an unknown kind of change",
     "an unknown field 'erased'", {"changes": CHANGES | {"erased": 0}}),
    ("top-of-21", "a list of more than the 20 most frequent sources", "has 21 items",
     {"sources": COUNTS | {"top": [{"name": str(n), "samples": 1} for n in range(21)]}}),
    ("top-without-samples", "a source with no sample", "samples is 0",
     {"sources": COUNTS | {"top": [{"name": "shelter", "samples": 0}]}}),
    ("created-with-a-fraction", "a time with a fraction of a second", "created is",
     {"created": "2026-11-22T00:00:00.5Z"}),
    ("created-with-other-digits", "a time in other digits than ASCII's", "created is",
     {"created": "٢٠٢٦-11-22T00:00:00Z"}),
    ("created-impossible", "a time that does not exist", "is not a valid time",
     {"created": "2026-02-29T00:00:00Z"}),
    ("message-too-long", "a message of more than 4,096 bytes", "message is longer",
     {"message": "é" * 2049}),
)  # fmt: skip

RECORDS = (
    ("not-canonical", "is not in canonical form", "a blank in it",
     lambda head: version_record(head, 1).replace(b":", b": ", 1)),
    ("unknown-field", "an unknown field 'signed'", "an unknown field",
     lambda head: canonical({"head": head, "nonce": "0" * 32, "signed": True})),
    ("without-nonce", "lacks the field nonce", "no nonce", lambda head: canonical({"head": head})),
    ("short-nonce", "nonce is '0'", "a nonce that is not 32 lower-case hex digits",
     lambda head: canonical({"head": head, "nonce": "0"})),
    ("blake3", "head is not a sha256 digest", "a head named by another digest than sha256",
     lambda head: canonical({"head": DIGEST, "nonce": "0" * 32})),
    ("no-json", "is not valid JSON", "bytes that are no JSON", lambda head: b"squatted"),
    ("too-long", "at most 1024 are allowed", "more than 1,024 bytes",
     lambda head: version_record(head, 1) + b" " * 1024),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    for name, wrong, says, facts in FACTS:
        # What a statement could not say of such a head, it says of version 1 of the pets.
        said = {"root": DIGEST, "samples": 6, "dataset": "pets", "version": 1}
        yield one_version(
            kept, f"head-{name}", f"A head with {wrong} is refused.", 4, says,
            place=("pets", 1), statement=said, **facts,
        )  # fmt: skip
    yield one_version(
        kept, "head-not-canonical", "A head that is not in canonical form is refused.",
        4, "not in canonical form", spelled=lambda data: data.replace(b',"', b', "', 1),
    )  # fmt: skip
    yield one_version(
        kept, "head-key-twice", "A head with a key twice is refused.", 4, "duplicate key",
        spelled=lambda data: data.replace(b'"samples":6', b'"samples":6,"samples":6'),
    )  # fmt: skip
    yield one_version(
        kept, "head-damaged", "A head whose bytes are not those of its digest is refused.",
        4, "is damaged", change=lambda forge, head: _replace(forge, head, b"shelter", b"sheltex"),
    )  # fmt: skip
    yield one_version(
        kept, "head-missing", "A head that is not there is refused.", 4, "there is no",
        change=lambda forge, head: forge.drop(head),
    )  # fmt: skip
    for name, says, wrong, record in RECORDS:
        yield one_version(
            kept, f"record-{name}", f"A version record with {wrong} is refused.", 1, says,
            record=record,
        )  # fmt: skip


def _replace(forge: Any, head: str, old: bytes, new: bytes) -> None:
    key = object_key(head)
    forge.files[key] = forge.files[key].replace(old, new)
