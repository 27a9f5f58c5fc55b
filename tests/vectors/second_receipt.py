"""What the second reader takes from docs/format/run.md: the statement of a training run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from second_conventions import Refused, canonical, digest, parse, refuse_unless
from second_reader import BLAKE3, SHA256, fields, items, nested, number, text

# docs/format/manifest.md, "Ids".
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)  # fmt: skip
TIME = text(20, "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def read_receipt(data: bytes) -> tuple[dict[str, Any], str]:
    """The statement and its digest. Raises Refused."""
    statement = parse(data, 131_072)
    fields(
        statement,
        _type=text(100, "https://in-toto.io/Statement/v1"),
        predicateType=text(100, "https://provreg/training-run/v1"),
        subject=items(500, nested(name=_path, digest=nested(sha256=text(64, "[0-9a-f]{64}")))),
        predicate=nested(
            run=text(32, "[0-9a-f]{32}"),
            datasets=items(64, lambda on: _check_dataset(on) is None),
            files=items(500, nested(size=number(0), blake3=BLAKE3)),
            started=TIME,
            finished=TIME,
            code=nested(
                commit=lambda v: v is None or text(64, "[0-9a-f]{40}|[0-9a-f]{64}")(v),
                dirty=lambda v: v is None or type(v) is bool,
                script=lambda v: v is None or fields(v, name=text(1024), sha256=SHA256) is None,
            ),
            parameters=lambda v: isinstance(v, dict) and len(canonical(v)) <= 65_536,
            environment=lambda v: isinstance(v, dict) and len(v) <= 64,
        ),
    )
    predicate = statement["predicate"]
    for name, version in predicate["environment"].items():
        library = text(64, "[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
        refuse_unless(library(name) and isinstance(version, str), "environment")
    names = [subject["name"] for subject in statement["subject"]]
    refuse_unless(names and len(names) == len(predicate["files"]), "files")
    _refuse_unordered([name.encode() for name in names])
    versions = [(on["dataset"], on["version"], on["head"]) for on in predicate["datasets"]]
    refuse_unless(versions, "no dataset")
    _refuse_unordered(versions)
    try:
        times = [datetime.fromisoformat(predicate[name]) for name in ("started", "finished")]
    except ValueError as error:
        raise Refused(str(error)) from None
    refuse_unless(times == sorted(times), "finished before it started")
    return statement, digest("sha256", data)


def _path(name: Any) -> bool:
    sound = text(1024)(name) and UNSAFE.search(name) is None
    return sound and {"", ".", ".."}.isdisjoint(name.split("/"))


def _check_dataset(on: Any) -> None:
    refuse_unless(isinstance(on, dict), "no object")
    more = {"skipped": nested(samples=number(1), ids=items(100, _id))} if "skipped" in on else {}
    fields(
        on,
        dataset=lambda v: text(128, "[a-z0-9]([a-z0-9._-]*[a-z0-9_-])?")(v) and ".." not in v,
        version=number(1, 99_999_999),
        uid=text(32, "[0-9a-f]{32}"),
        head=SHA256,
        samples=number(1),
        seen=number(1),
        handed_out=number(1),
        bitmap=BLAKE3,
        **more,
    )
    refuse_unless(on["seen"] <= on["samples"], "seen")
    refuse_unless(on["seen"] <= on["handed_out"] <= 255 * on["seen"], "handed out")
    if more:
        skipped = on["skipped"]
        refuse_unless(len(skipped["ids"]) <= skipped["samples"] <= on["samples"], "skipped")
        _refuse_unordered([identity.encode() for identity in skipped["ids"]])


def _id(identity: Any) -> bool:
    return text(4096, r"[\s\S]+")(identity) and UNSAFE.search(identity) is None


def _refuse_unordered(values: Sequence[Any]) -> None:
    refuse_unless(all(a < b for a, b in itertools.pairwise(values)), "not in order, or twice")
