"""What the second reader takes from docs/format/row.md, "Roles": rows to samples.

The ids, labels and origins that rows have, beside the payloads of `second_table`.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from second_conventions import Refused, canonical, digest, refuse_unless
from second_manifest import EPOCH, FIRST, LAST, UNSAFE
from second_table import NamedFile, payload, read_rows, typed, with_files

ORDER = ("label", "split", "source", "labeler", "labeled_at")
FLOATS = {"float16": "<e", "float32": "<f", "float64": "<d"}
NAMED = {"text", "int"}


def samples(data: bytes, table: dict[str, Any]) -> list[dict[str, Any]]:
    """The samples that the rows of a file are, in their order; `labeled_at` in microseconds."""
    types = {column["name"]: column["type"] for column in table["columns"]}
    roles, time = table.get("roles", {}), table.get("time")
    by_id = roles.get("id") if types.get(roles.get("id")) == "file" else None
    gone = {*roles.values()} - {by_id}
    kept = [column for column in table["columns"] if column["name"] not in gone]
    found = []
    for row in read_rows(data, table):
        refuse_unless(row.keys() <= types.keys(), "a column that is not in the schema")
        row |= {name: with_files(value, types[name], table.get("files", {}))
                for name, value in row.items()}  # fmt: skip
        sample = {role: _said(role, row.get(name), types[name]) for role, name in roles.items()}
        rest = {name: value for name, value in row.items() if name not in gone}
        if by_id is not None:
            rest[by_id] = NamedFile("", rest[by_id].data)
        sample["content"] = digest("blake3", payload(rest, kept))
        if time is not None:
            moment, written = _when(row.get(time), types[time])
            key = f"{sample['id']}@" if "id" in roles else ""
            refuse_unless("id" not in roles or sample["id"] is not None, "no id")
            sample["id"] = key + written
            if table.get("split_at"):
                sample["split"] = _split(moment, table["split_at"])
        found.append(sample)
    if "id" not in roles and time is None:
        _number(found)
    for sample in found:
        _check_id(sample["id"])
    refuse_unless(len({sample["id"] for sample in found}) == len(found), "an id twice")
    return [{role: value for role, value in one.items() if value is not None} for one in found]


def _said(role: str, value: Any, kind: Any) -> Any:
    if role == "labeled_at":
        return None if value is None else _microseconds(value, kind)
    refuse_unless(role == "id" or kind != "file", "a type that no such column has")
    allowed = NAMED | ({"bool", *FLOATS} if role == "label" else set())
    if kind == "file":
        return None if value is None else str(value)
    made = typed(value, kind)
    kind = "int" if kind == {"int": "uint64"} else kind
    refuse_unless(isinstance(kind, str) and kind in allowed, "a type that no such column has")
    if made is None:
        return None
    if kind == "int":
        return str(int.from_bytes(made[1:], "little", signed=made[0] == 2))
    if kind == "bool":
        return "true" if made[1] else "false"
    if kind in FLOATS:
        return _float(struct.unpack(FLOATS[kind], made[1:])[0])
    text = made[5:].decode()
    refuse_unless(role in {"id", "label"} or len(text.encode()) <= 256, "too long")
    return text


def _float(number: float) -> str:
    refuse_unless(number - number == 0, "NaN and infinities are no labels")
    return "-0" if str(number) == "-0.0" else canonical(number).decode()


def _check_id(identity: str | None) -> None:
    refuse_unless(identity is not None, "no id")
    text = identity or ""
    refuse_unless(0 < len(text.encode()) <= 4096 and not UNSAFE.search(text), "id")


def _microseconds(value: Any, kind: Any) -> int:
    if kind == "text":
        for form in ("timestamp-utc", "timestamp"):
            try:
                made = typed(value, form)
                break
            except Refused:
                continue
        else:
            raise Refused("no time")
    else:
        refuse_unless(kind in {"timestamp", "timestamp-utc"}, "a type that no time has")
        made = typed(value, kind)
    refuse_unless(made is not None, "no time")
    seconds, nanoseconds = struct.unpack("<qI", (made or b"")[1:])
    refuse_unless(nanoseconds % 1000 == 0, "between microseconds")
    moment = seconds * 10**6 + nanoseconds // 1000
    refuse_unless(FIRST <= moment <= LAST, "beyond the calendar")
    return int(moment)


def _when(value: Any, kind: Any) -> tuple[int, str]:
    """The moment of a row, and how ids have it."""
    refuse_unless(value is not None, "no time")
    if kind == "date":
        made = typed(value, kind)
        refuse_unless(made is not None, "no time")
        moment = struct.unpack("<i", (made or b"")[1:])[0] * 86_400_000_000
        refuse_unless(FIRST <= moment <= LAST, "beyond the calendar")
        return moment, _written(moment)[:10]
    moment = _microseconds(value, kind)
    return moment, _written(moment) + ("" if kind == "timestamp" else "Z")


def _written(moment: int) -> str:
    at = EPOCH + timedelta(microseconds=moment)
    text = at.replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.rstrip("0").rstrip(".")


def _split(moment: int, edges: list[str]) -> str:
    names = ("train", "test") if len(edges) == 1 else ("train", "validation", "test")
    form = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?Z"
    refuse_unless(all(re.fullmatch(form, edge) for edge in edges), "no moment")
    moments = [(datetime.fromisoformat(edge).astimezone(UTC) - EPOCH) // timedelta(microseconds=1)
               for edge in edges]  # fmt: skip
    return names[sum(moment >= edge for edge in moments)]


def _number(found: list[dict[str, Any]]) -> None:
    """The ids of rows without any: their contents, and which of equal ones."""

    def place(sample: dict[str, Any]) -> list[tuple[bool, Any]]:
        said = [sample.get(role) for role in ORDER]
        keys = [one.encode() if isinstance(one, str) else one for one in said]
        return [(one is None, one) for one in keys]

    contents: dict[str, list[dict[str, Any]]] = {}
    for sample in found:
        contents.setdefault(sample["content"], []).append(sample)
    for content, alike in contents.items():
        for number, sample in enumerate(sorted(alike, key=place), start=1):
            sample["id"] = content if number == 1 else f"{content}#{number}"
