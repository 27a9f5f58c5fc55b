"""A second reader of the format, written from docs/format alone; it shares no code with provreg.

It is slow and plain on purpose, and no part of the package: it shows that the specification says
enough. It reads a version from a registry given as a mapping of keys to bytes, recomputes all its
digests and refuses what docs/format says must be refused of records, heads, parts and manifests
(steps 4, 10 and 11, and the statement of step 5). Who signed a version is `second_verdict`.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from second_conventions import Refused, canonical, digest, fetch, parse, refuse_unless
from second_manifest import (
    blocks_of,
    check_class,
    check_cut,
    check_entries,
    check_paths,
    claim,
    leaf,
    logical_digest,
    read_part,
    root,
)

# --- docs/format/head.md, "Fields" ----------------------------------------------------------------


def fields(value: Any, **forms: Any) -> None:
    """Refuses an object unless it has exactly these fields, each in its form."""
    refuse_unless(isinstance(value, dict), "no object")
    refuse_unless(set(value) == set(forms), f"other fields: {set(value) ^ set(forms)}")
    for name, form in forms.items():
        refuse_unless(form(value[name]), f"{name} is {str(value[name])[:50]}")


def text(limit: int, pattern: str = r"[\s\S]*") -> Any:
    return lambda v: (
        isinstance(v, str) and len(v.encode()) <= limit and bool(re.fullmatch(pattern, v))
    )


def number(low: int, high: int = 2**53 - 1) -> Any:
    return lambda v: type(v) is int and low <= v <= high


def items(limit: int, form: Any) -> Any:
    return lambda v: isinstance(v, list) and len(v) <= limit and all(form(item) for item in v)


def nested(**forms: Any) -> Any:
    return lambda v: fields(v, **forms) is None


SHA256, BLAKE3 = text(71, "sha256:[0-9a-f]{64}"), text(71, "blake3:[0-9a-f]{64}")
PART = nested(blocks=BLAKE3, file=BLAKE3, size=number(1, 2**32), rows=number(1, 2**18),
              first=text(4096), last=text(4096))  # fmt: skip
NAMES = nested(distinct=number(0), table=BLAKE3,
               top=items(20, nested(name=text(256), samples=number(1))))  # fmt: skip
KINDS = ("injected", "removed", "relabeled", "modified", "renamed", "reattributed", "resplit")


def read_head(data: bytes) -> dict[str, Any]:
    head = parse(data, 64 << 20)
    fields(
        head,
        format=text(100, "provreg.head/v1"),
        critical=items(0, text(0)),
        dataset=lambda v: text(128, "[a-z0-9]([a-z0-9._-]*[a-z0-9_-])?")(v) and ".." not in v,
        uid=text(32, "[0-9a-f]{32}"),
        version=number(1, 99_999_999),
        parent=lambda v: v is None or SHA256(v),
        root=BLAKE3,
        samples=number(1),
        parts=items(2**20, PART),
        reading=lambda v: isinstance(v, dict) and isinstance(v.get("reader"), str),
        label_type=text(5, "none|class|text"),
        classes=items(10_000, text(1024)),
        changes=nested(**dict.fromkeys(KINDS, number(0))),
        sources=NAMES,
        labelers=NAMES,
        reused_digests=number(0),
        created=text(20, "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
        message=text(4096),
    )
    try:
        datetime.fromisoformat(head["created"])
    except ValueError as error:
        raise Refused(str(error)) from None
    parts = head["parts"]
    refuse_unless((head["version"] == 1) == (head["parent"] is None), "parent")
    refuse_unless(sum(part["rows"] for part in parts) == head["samples"], "sum of rows")
    refuse_unless(root(parts) == head["root"], "root")
    for name in head["classes"]:
        check_class(name)
    composed = {unicodedata.normalize("NFC", name) for name in head["classes"]}
    refuse_unless(len(composed) == len(head["classes"]), "class twice")
    refuse_unless(not head["classes"] or head["label_type"] == "class", "classes of texts")
    before = b""
    for place, part in enumerate(parts):
        first, last = part["first"].encode(), part["last"].encode()
        refuse_unless(first <= last and (place == 0 or before < first), "order of parts")
        before = last
    return head


# --- docs/format/head.md, "What its entries must bear out" ----------------------------------------


def name_counts(entries: Sequence[Mapping[str, Any]], column: str) -> dict[str, Any]:
    counts = Counter(entry[column] for entry in entries if entry[column] is not None)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
    table = [{"name": name, "samples": samples} for name, samples in ranked]
    return {
        "distinct": len(table),
        "top": table[:20],
        "table": digest("blake3", canonical(table)),
    }


def majority(annotations: Sequence[Mapping[str, Any]]) -> str | None:
    """docs/format/manifest.md, "Entry"."""
    votes = Counter(note["label"] for note in annotations if note["label"] is not None)
    most = max(votes.values(), default=0)
    first = [label for label, count in votes.items() if count == most]
    return first[0] if len(first) == 1 else None


def check_bearing(head: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> None:
    for field, column in (("sources", "source"), ("labelers", "labeler")):
        refuse_unless(head[field] == name_counts(entries, column), field)
    labels = {entry["label"] for entry in entries} - {None}
    long = any(entry["label_digest"] for entry in entries)
    needed = 2 if long or len(labels) > 10_000 else min(len(labels), 1)
    kind = ("none", "class", "text").index(head["label_type"])
    refuse_unless(needed <= kind, "label type")
    refuse_unless(kind != 1 or labels <= set(head["classes"]), "class")
    rule = head["reading"].get("aggregation")
    refuse_unless(rule in (None, "majority"), "aggregation")
    for entry in entries if rule else ():
        if entry["annotations"] is not None:
            refuse_unless(entry["label"] == majority(entry["annotations"]), "majority")
            refuse_unless(entry["label_digest"] is None, "long majority")
    if head["reading"]["reader"] == "folder" or head["reading"].get("samples") == "files":
        check_paths([entry["id"] for entry in entries])


# --- docs/format/statement.md, "Statement" --------------------------------------------------------


def statement(head: Mapping[str, Any], head_digest: str) -> bytes:
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": {
                name: head[name] for name in ("dataset", "root", "samples", "uid", "version")
            },
            "predicateType": "https://provreg/version/v1",
            "subject": [
                {
                    "digest": {"sha256": head_digest.partition(":")[2]},
                    "name": f"{head['dataset']}@{head['version']}",
                }
            ],
        }
    )


def read_version(registry: Mapping[str, bytes], dataset: str, version: int) -> dict[str, Any]:
    """All digests of a version, recomputed. Raises Refused."""
    record = parse(registry[f"datasets/{dataset}/versions/{version:08d}.json"], 1024)
    fields(record, head=SHA256, nonce=text(32, "[0-9a-f]{32}"))
    head = read_head(fetch(registry, record["head"], 64 << 20))
    refuse_unless((head["dataset"], head["version"]) == (dataset, version), "another version")
    entries: list[dict[str, Any]] = []
    blocks: list[int] = []
    leaves: list[bytes] = []
    for part in head["parts"]:
        data = fetch(registry, part["file"], part["size"])
        refuse_unless(len(data) == part["size"], "size")
        rows = read_part(data, part["rows"])
        check_entries(rows)
        ids = [entry["id"] for entry in rows]
        refuse_unless((ids[0], ids[-1]) == (part["first"], part["last"]), "first and last")
        cut = list(blocks_of(ids))
        check_cut(ids, cut, last=part is head["parts"][-1])
        own = [leaf(entry) for entry in rows]
        ends = itertools.accumulate(map(len, cut), initial=0)
        pieces = [own[a:b] for a, b in itertools.pairwise(ends)]
        refuse_unless(logical_digest(pieces) == part["blocks"], "logical digest")
        blocks += map(len, cut)
        leaves += own
        entries += rows
    check_bearing(head, entries)
    return {
        "head": record["head"],
        "samples": len(entries),
        "root": head["root"],
        "parts": [part["blocks"] for part in head["parts"]],
        "blocks": blocks,
        "statement": statement(head, record["head"]).decode(),
        "claims": [claim(entry).hex() for entry in entries],
        "leaves": [made.hex() for made in leaves],
    }
