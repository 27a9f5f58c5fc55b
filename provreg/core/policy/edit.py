"""Additions to the text of a policy file: its comments, order and layout stay.

The scanner finds where tables and arrays of TOML begin and end, in the forms that people write.
Nothing relies on it: each result is parsed again, and must say exactly what the file said before,
and the addition.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provreg.core.encoding.names import check_utf8
from provreg.core.encoding.times import format_time
from provreg.errors import UsageError

# Texts and comments, which may hold anything, then the characters that give TOML its structure.
_TOKEN = re.compile(
    r"""(?P<text>'{3}[\s\S]*?'{3}'{0,2}|"{3}(?:\\[\s\S]|[^\\])*?"{3}"{0,2}"""
    r"""|'[^'\n]*'|"(?:\\.|[^"\\\n])*")"""
    r"|(?P<comment>\#[^\n]*)|(?P<mark>[\[\]{},=\n])|(?P<other>[^\s\[\]{},=\#'\"]+)"
)
_HEADER = re.compile(r"(\[\[?)\s*([A-Za-z0-9_-]+)((?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*\]\]?")
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")


def add_principal(text: str, fields: Mapping[str, Any]) -> str:
    """`text` with one more `[[principal]]`, after the others.

    The functions here raise UsageError where the file is written in a form that they do not know.
    """
    document = _parsed(text)
    document.setdefault("principal", []).append(dict(fields))
    block = _block("principal", fields)
    tables = [table for table in _tables(text) if table.name == "principal"]
    places = [tables[-1].last] if tables else []
    return _inserted(text, block, [*places, len(text)], document)


def add_rule(text: str, kind: str, fields: Mapping[str, Any], place: int | None = None) -> str:
    """`text` with one more rule of `kind`: as number `place` of its kind, by default the last."""
    document = _parsed(text)
    rules = document.setdefault(kind, [])
    block = _block(kind, fields)
    tables = [table for table in _tables(text) if table.name == kind and table.is_whole]
    if place is None or place > len(rules):
        rules.append(dict(fields))
        ends = [table.last for table in _tables(text) if table.name == kind][-1:]
        return _inserted(text, block, [*ends, len(text)], document)
    rules.insert(place - 1, dict(fields))
    starts = [tables[place - 1].start] if len(tables) == len(rules) - 1 else []
    return _inserted(text, block, starts, document)


def add_key(text: str, principal: int, key: str | Mapping[str, Any]) -> str:
    """`text` with one more key of the principal with this index: a PEM text, or a table of it."""
    document = _parsed(text)
    document["principal"][principal].setdefault("keys", []).append(key)
    return _appended(text, _table(text, "principal", principal), "keys", key, document)


def add_to_rule(text: str, kind: str, place: int, name: str) -> str:
    """`text` with one more of the `principals` of rule number `place` of its kind."""
    document = _parsed(text)
    document[kind][place - 1]["principals"].append(name)
    return _appended(text, _table(text, kind, place - 1), "principals", name, document)


def end_key(text: str, principal: int, key: int, field: str, moment: datetime) -> str:
    """`text` with `field` (`valid_until`, `revoked`) of a key, given by indexes, as `moment`."""
    document = _parsed(text)
    keys = document["principal"][principal]["keys"]
    old = keys[key]
    keys[key] = {**({"pem": old} if isinstance(old, str) else old), field: moment}
    array = _array(text, _table(text, "principal", principal), "keys")
    if array is None or len(array.items) != len(keys):
        raise _unknown_form()
    item = array.items[key]
    written = text[item.start : item.end]
    if isinstance(old, str):
        new = f"{{ pem = {written}, {field} = {_value(moment)} }}"
    else:
        new = f"{written[:-1].rstrip()}, {field} = {_value(moment)} }}"
    return _checked(f"{text[: item.start]}{new}{text[item.end :]}", document)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table from the comments right above its header up to what belongs to the next.

    `name` is the first part of its header; `is_whole` says that it is `[[name]]`. `header` is where
    the header begins, `last` the end of its last line that is neither blank nor a comment.
    """

    name: str
    is_whole: bool
    start: int
    header: int
    last: int
    end: int


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Array:
    """The inside of an array, without its brackets, and its items."""

    start: int
    end: int
    items: Sequence[_Span]


def _tables(text: str) -> list[_Table]:
    """The tables of `text` that have a header, in order."""
    headers: list[tuple[int, re.Match[str]]] = []
    lasts: list[int] = []
    depth, at_line_start = 0, True
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if mark == "\n":
            at_line_start = at_line_start or depth == 0
            continue
        if at_line_start and depth == 0 and mark == "[":
            found = _HEADER.match(text, token.start())
            if found is not None:
                headers.append((token.start(), found))
                lasts.append(0)
        if token["comment"] is None:
            at_line_start = False
            if lasts:
                lasts[-1] = _line_end(text, token.end())
        depth += (mark in _OPENING) - (mark in _CLOSING) if mark else 0
    starts = [_with_comments(text, start) for start, _ in headers]
    ends = [*starts[1:], len(text)][: len(starts)]
    return [
        _Table(found[2], not found[3] and found[1] == "[[", start, header, last, end)
        for (header, found), start, last, end in zip(headers, starts, lasts, ends, strict=True)
    ]


def _line_end(text: str, place: int) -> int:
    """The beginning of the line after `place`."""
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1


def _with_comments(text: str, start: int) -> int:
    """The beginning of the comment lines right above the line at `start`."""
    while start:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].lstrip().startswith("#"):
            break
        start = above
    return start


def _table(text: str, name: str, index: int) -> _Table:
    """The table with this index of those with the header `[[name]]`."""
    tables = [table for table in _tables(text) if table.name == name and table.is_whole]
    if index >= len(tables):
        raise _unknown_form()
    return tables[index]


def _appended(text: str, table: _Table, name: str, value: Any, document: Mapping[str, Any]) -> str:
    """`text` with `value` as the last item of the array `name` of `table`; it means `document`."""
    array = _array(text, table, name)
    if array is None:
        place = _line_end(text, table.header)
        return _checked(f"{text[:place]}{name} = [{_value(value)}]\n{text[place:]}", document)
    if not array.items:
        return _checked(f"{text[: array.start]}{_value(value)}{text[array.start :]}", document)
    last = array.items[-1].end
    rest = text[last : array.end]
    if "\n" in rest:  # the bracket is on a line of its own, perhaps after comments
        comma = "" if rest.lstrip().startswith(",") else ","
        rest = f"{comma}{rest.rstrip()}\n{_value(value)},\n"
    else:
        rest = f", {_value(value)}"
    return _checked(f"{text[:last]}{rest}{text[array.end :]}", document)


def _array(text: str, table: _Table, name: str) -> _Array | None:
    """The array that `table` has as `name`; None if it has nothing of that name."""
    tokens = list(_TOKEN.finditer(text, table.header, table.end))
    depth, start, key = 0, None, ""
    items: list[_Span] = []
    first = last = None
    for token in tokens:
        if token["comment"] is not None:
            continue
        mark = token["mark"]
        if start is None:
            if depth == 0 and mark == "=" and key == name:
                start = -1
            elif start is None:
                depth += (mark in _OPENING) - (mark in _CLOSING) if mark else 0
                key = token.group() if mark is None else "" if mark == "\n" else key
            continue
        if start == -1:
            if mark != "[":
                raise _unknown_form()
            start, depth = token.end(), 1
            continue
        depth += (mark in _OPENING) - (mark in _CLOSING) if mark else 0
        if depth == 0 or (depth == 1 and mark == ","):
            if first is not None and last is not None:
                items.append(_Span(first, last))
            first = last = None
            if depth == 0:
                return _Array(start, token.start(), items)
        elif mark != "\n":
            first = token.start() if first is None else first
            last = token.end()
    if start is not None:
        raise _unknown_form()
    return None


def _inserted(text: str, block: str, places: Sequence[int], document: Mapping[str, Any]) -> str:
    """`text` with `block` at the first of `places` where it means `document`."""
    for place in places:
        before, after = text[:place], text[place:]
        before = before if not before or before.endswith("\n") else before + "\n"
        above = "\n" if before.strip() and not before.endswith("\n\n") else ""
        below = "\n" if after.strip() and not after.startswith(("\n", "\r\n")) else ""
        new = f"{before}{above}{block}{below}{after}"
        if _says(new, document):
            return new
    raise _unknown_form()


def _checked(text: str, document: Mapping[str, Any]) -> str:
    if not _says(text, document):
        raise _unknown_form()
    return text


def _says(text: str, document: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == document
    except ValueError:
        return False


def _parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _block(name: str, fields: Mapping[str, Any]) -> str:
    lines = [f"{field} = {_value(value)}" for field, value in fields.items()]
    return "\n".join([f"[[{name}]]", *lines, ""])


def _value(value: Any) -> str:
    """`value` as TOML. Texts with line breaks, which are PEM blocks, stand as they are."""
    if isinstance(value, str):
        if "\n" in value:
            return f"'''\n{value}'''"
        # The same in TOML, but for U+007F, which no field of a policy can hold.
        check_utf8("the text", value)
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        fields = ", ".join(f"{name} = {_value(item)}" for name, item in value.items())
        return f"{{ {fields} }}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower()


def _unknown_form() -> UsageError:
    return UsageError(
        "the policy is written in a form of TOML that cannot be changed by command",
        hint="edit the file by hand (docs/reference/policy.md), then run `provreg policy check`",
    )
