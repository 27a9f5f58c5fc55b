"""What the second reader (`second_reader.py`) takes from docs/format/row.md: tables to payloads.

Byte after byte, digit after digit, with exact arithmetic: what is slow and plain here is what every
fast way must agree with.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from blake3 import blake3
from second_conventions import Refused, canonical, refuse_unless
from second_manifest import UNSAFE

MOST_TEXT = 2**32 - 1


def payloads(data: bytes, table: dict[str, Any]) -> list[bytes]:
    """The payloads of the rows of a file whose columns have no roles; `table` says how it is read,
    as a head's reading."""
    return [payload(row, table["columns"]) for row in read_rows(data, table)]


def read_rows(data: bytes, table: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a file: what stands in each column, as it is written there."""
    excluded, added = table.get("columns_excluded", []), table.get("columns_added", [])
    if table["format"] in ("json", "jsonl"):
        rows = json_array(data) if table["format"] == "json" else json_lines(data)
        return [{key: row[key] for key in row if key not in excluded} for row in rows]
    quoting = table.get("quoting") != "none"
    header, *lines = csv_rows(
        data, table["delimiter"], quoting=quoting, null_words=table["null_words"]
    )
    names = {column["name"] for column in table["columns"]}
    refuse_unless(set(header) - set(excluded) <= names, "other columns")
    refuse_unless(names - set(header) <= set(added), "a column is missing")
    rows = [dict(zip(map(str, header), line, strict=True)) for line in lines]
    return [{key: row[key] for key in row if key not in excluded} for row in rows]


# CSV


class Field(str):
    """A field of CSV: any type may stand in it."""

    __slots__ = ()


def csv_rows(
    data: bytes, delimiter: str, *, quoting: bool, null_words: list[str]
) -> list[list[Field | None]]:
    """The header and the rows of a file."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    refuse_unless(b"\0" not in data, "NUL")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    rows: list[list[Field | None]] = []
    for line in _lines(text, delimiter, quoting):
        refuse_unless(line != [("", False)], "a blank line")
        header = not rows
        row = [
            Field(word) if quoted or header or word not in null_words else None
            for word, quoted in line
        ]
        refuse_unless(header or len(row) == len(rows[0]), "ragged")
        rows.append(row)
    refuse_unless(bool(rows), "empty")
    names = [str(name) for name in rows[0]]
    refuse_unless(len(set(names)) == len(names), "a name twice")
    refuse_unless(all(0 < len(name.encode()) <= 4096 for name in names), "a name's length")
    return rows


def _lines(text: str, delimiter: str, quoting: bool) -> Iterator[list[tuple[str, bool]]]:
    """The lines of a file: their fields, and whether each stood in quotes."""
    at = 0
    while at < len(text):
        line = []
        while True:
            field = ""
            quoted = quoting and text[at : at + 1] == '"'
            if quoted:
                at += 1
                while True:
                    refuse_unless(at < len(text), "a quote is never closed")
                    if text[at] == '"' and text[at + 1 : at + 2] != '"':
                        break
                    at += 2 if text[at] == '"' else 1
                    field += text[at - 1]
                at += 1
            else:
                while at < len(text) and text[at] not in f"{delimiter}\r\n":
                    field += text[at]
                    at += 1
            line.append((field, quoted))
            if text[at : at + 1] != delimiter:
                break
            at += 1
        yield line
        if at < len(text):
            refuse_unless(
                text[at] == "\n" or text[at : at + 2] == "\r\n", "text behind a field's end"
            )
            at += 1 if text[at] == "\n" else 2


# JSON


class Number(str):
    """A number of JSON as it is written."""

    __slots__ = ()


def json_lines(data: bytes) -> list[dict[str, Any]]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    return [_object(line) for line in data.split(b"\n") if line.strip(b" \t\r")]


def json_array(data: bytes) -> list[dict[str, Any]]:
    rows = _parsed(data.removeprefix(b"\xef\xbb\xbf"))
    refuse_unless(type(rows) is list and all(type(row) is dict for row in rows), "no objects")
    found: list[dict[str, Any]] = rows
    return found


def _object(line: bytes) -> dict[str, Any]:
    row = _parsed(line)
    refuse_unless(type(row) is dict, "no object")
    found: dict[str, Any] = row
    return found


def _parsed(text: bytes) -> Any:
    try:
        value = json.loads(
            text.decode(),
            object_pairs_hook=_keys_once,
            parse_constant=_no_constant,
            parse_int=Number,
            parse_float=Number,
        )
        json.dumps(value, ensure_ascii=False).encode()  # no halves of surrogate pairs
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from None
    return value


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_unless(len(dict(pairs)) == len(pairs), "a key twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise Refused(name)


# Payloads


def payload(values: dict[str, Any], columns: list[dict[str, Any]]) -> bytes:
    """The payload of a row, with values as the text has them: texts (CSV) or parsed JSON."""
    return _struct(values, columns)


def _struct(values: Any, fields: list[dict[str, Any]]) -> bytes:
    refuse_unless(type(values) is dict, "no object")
    types = {field["name"]: field["type"] for field in fields}
    refuse_unless(values.keys() <= types.keys(), "a column that is not in the schema")
    written = b""
    count = 0
    for name in sorted(values, key=str.encode):
        value = typed(values[name], types[name])
        if value is not None:
            written += _text(name) + value
            count += 1
    return b"\x10" + struct.pack("<I", count) + written


def _text(text: str) -> bytes:
    data = text.encode()
    refuse_unless(len(data) <= MOST_TEXT, "too long")
    return struct.pack("<I", len(data)) + data


def typed(value: Any, kind: Any) -> bytes | None:
    """The tag and body of a value, None for null."""
    if value is None:
        return None
    if isinstance(kind, str):
        return _SCALARS[kind](value)
    ((name, inner),) = kind.items()
    if name in {"decimal", "decimal128"}:
        return _decimal(value, inner, 76 if name == "decimal" else 38)
    if name == "int":
        refuse_unless(inner == "uint64", "no type")
        return _int(value, unsigned=True)
    if name == "struct":
        return _struct(value, inner)
    refuse_unless(type(value) is list, "no array")
    if name == "list":
        elements = [typed(element, inner) or b"\x00" for element in value]
        return b"\x0f" + struct.pack("<I", len(value)) + b"".join(elements)
    pairs = b""
    for pair in value:
        refuse_unless(type(pair) is dict and pair.keys() <= {"key", "value"}, "no pair")
        key = typed(pair.get("key"), inner[0])
        refuse_unless(key is not None, "a key is null")
        pairs += key + (typed(pair.get("value"), inner[1]) or b"\x00")
    return b"\x11" + struct.pack("<I", len(value)) + pairs


# Files


class NamedFile(str):
    """The name of a file, and its bytes."""

    __slots__ = ("data",)
    data: bytes

    def __new__(cls, name: str, data: bytes) -> NamedFile:
        made = super().__new__(cls, name)
        made.data = data
        return made


def with_files(value: Any, kind: Any, files: dict[str, str]) -> Any:
    """A value with the bytes of the files that it names; `files` are by name, in hexadecimal."""
    if value is None or isinstance(kind, str):
        return _file_called(value, files) if kind == "file" and value is not None else value
    ((name, inner),) = kind.items()
    if name == "list" and type(value) is list:
        return [with_files(element, inner, files) for element in value]
    if name == "struct" and type(value) is dict:
        types = {field["name"]: field["type"] for field in inner}
        refuse_unless(value.keys() <= types.keys(), "a field that is not in the schema")
        return {key: with_files(one, types[key], files) for key, one in value.items()}
    return value


def _file_called(value: Any, files: dict[str, str]) -> NamedFile:
    name = _is_text(value)
    path = re.sub(r"\A(\./)+", "", name)
    segments = path.split("/")
    refuse_unless({"", ".", ".."}.isdisjoint(segments), "no path to a file")
    refuse_unless(len(segments) <= 201 and len(path.encode()) <= 4096, "too long")
    refuse_unless("\\" not in path and not UNSAFE.search(path), "no name of a file")
    refuse_unless(path in files, "no such file")
    return NamedFile(name, bytes.fromhex(files[path]))


def _file(value: Any) -> bytes:
    refuse_unless(type(value) is NamedFile, "no file")
    digest = blake3(value.data).digest()
    return b"\x13" + struct.pack("<Q", len(value.data)) + digest + _text(value)


def _form(value: Any, form: str) -> str:
    refuse_unless(isinstance(value, str) and re.fullmatch(form, value) is not None, "not the form")
    return str(value)


def _is_text(value: Any) -> str:
    refuse_unless(type(value) in (str, Field), "no text")
    return str(value)


def _is_number(value: Any) -> str:
    refuse_unless(type(value) in (Number, Field), "no number")
    return str(value)


def _bool(value: Any) -> bytes:
    if not isinstance(value, bool):
        refuse_unless(type(value) is Field, "no bool")
        value = _form(value, "true|True|TRUE|false|False|FALSE").lower() == "true"
    return b"\x01" + bytes([value])


def _int(value: Any, *, unsigned: bool = False) -> bytes:
    number = _whole(_form(_is_number(value), "-?[0-9]+"))
    least, beyond = (0, 2**64) if unsigned else (-(2**63), 2**63)
    refuse_unless(least <= number < beyond, "beyond the form")
    if number >= 2**63:
        return b"\x03" + struct.pack("<Q", number)
    return b"\x02" + struct.pack("<q", number)


def _whole(digits: str) -> int:
    return int(Decimal(digits))  # `int` refuses very long ones


_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
# (digits of the fraction, exponent of the smallest step, largest exponent), tag, one NaN
_FLOATS = {
    "float16": (b"\x04", 10, -24, 15, b"\x00\x7e"),
    "float32": (b"\x05", 23, -149, 127, b"\x00\x00\xc0\x7f"),
    "float64": (b"\x06", 52, -1074, 1023, b"\x00\x00\x00\x00\x00\x00\xf8\x7f"),
}


def _float(name: str) -> Any:
    tag, digits, least, most, nan = _FLOATS[name]
    width = {"float16": 16, "float32": 32, "float64": 64}[name]
    infinite = ((1 << (width - 1 - digits)) - 1) << digits

    def written(value: Any) -> bytes:
        text = _is_number(value)
        if re.fullmatch("[+-]?nan", text, re.IGNORECASE | re.ASCII):
            return tag + nan
        if re.fullmatch("[+-]?inf(inity)?", text, re.IGNORECASE | re.ASCII):
            bits = infinite
        else:
            bits = _rounded(_form(text, _NUMBER), digits, least, most)
        bits |= text.startswith("-") << (width - 1)
        return tag + bits.to_bytes(width // 8, "little")

    return written


def _rounded(text: str, digits: int, least: int, most: int) -> int:
    """The bits, without the sign, of the float nearest to a decimal number; ties go to even."""
    mantissa, _, exponent = text.lstrip("+-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    significant = (whole + fraction).lstrip("0")
    if not significant:
        return 0
    # The power of ten that its first digit stands for.
    size = len(significant) - 1 - len(fraction) + _whole(exponent or "0")
    refuse_unless(size <= 400, "beyond the range")
    if size < -400:
        return 0
    number = Fraction(_whole(significant)) * Fraction(10) ** (
        _whole(exponent or "0") - len(fraction)
    )
    power = number.numerator.bit_length() - number.denominator.bit_length()
    if Fraction(2) ** power > number:
        power -= 1
    step = max(power - digits, least)
    count = round(number / Fraction(2) ** step)  # ties to even
    if count == 2 ** (digits + 1):
        step, count = step + 1, count // 2
    refuse_unless(step + digits <= most, "beyond the range")
    if re.fullmatch("[+-]?[0-9]+", text):
        refuse_unless(count * Fraction(2) ** step == number, "an integer that is rounded")
    if count < 2**digits:
        return count  # subnormal
    return ((step - least + 1) << digits) + count - 2**digits


def _decimal(value: Any, scale: int, digits: int) -> bytes:
    whole, _, fraction = _form(value, r"-?[0-9]+(?:\.[0-9]+)?").partition(".")
    refuse_unless(len(fraction) <= max(scale, 0), "too many digits")
    unscaled = Fraction(_whole(whole + fraction)) * Fraction(10) ** (scale - len(fraction))
    refuse_unless(unscaled.denominator == 1, "too many digits")
    refuse_unless(abs(unscaled) < 10**digits, "too large")
    data = int(unscaled).to_bytes(32, "little", signed=True)
    return b"\x09" + struct.pack("<i", scale) + data


_DAY = "([0-9]{4})-([0-9]{2})-([0-9]{2})"
_OF_DAY = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,%d}))?)?"


def _days(year: str, month: str, day: str) -> int:
    """Days from 1970-01-01 to a day of the Gregorian calendar."""
    y, m, d = int(year), int(month), int(day)
    leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
    months = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    refuse_unless(1 <= m <= 12 and 1 <= d <= months[m - 1], "no day")
    # Of years from 0 on: Python's division rounds down, also for the year before 0.
    years = 365 * y + (y - 1) // 4 - (y - 1) // 100 + (y - 1) // 400 + 1
    return years + sum(months[: m - 1]) + d - 1 - 719528


def _of_day(hour: str, minute: str, second: str | None, fraction: str | None) -> tuple[int, int]:
    """Seconds since midnight, and nanoseconds."""
    h, m, s = int(hour), int(minute), int(second or "0")
    refuse_unless(h < 24 and m < 60 and s < 60, "no time of day")
    return 3600 * h + 60 * m + s, int((fraction or "").ljust(9, "0"))


def _groups(value: Any, form: str) -> tuple[str | None, ...]:
    found = re.fullmatch(form, _is_text(value))
    refuse_unless(found is not None, "not the form")
    return found.groups() if found else ()


def _date(value: Any) -> bytes:
    return b"\x0c" + struct.pack("<i", _days(*_groups(value, _DAY)))


def _time(value: Any) -> bytes:
    seconds, nanoseconds = _of_day(*_groups(value, _OF_DAY % 9))
    return b"\x0d" + struct.pack("<q", seconds * 10**9 + nanoseconds)


def _timestamp(value: Any) -> bytes:
    y, mo, d, h, mi, s, f = _groups(value, f"{_DAY}(?:[T ]{_OF_DAY % 6})?")
    seconds, nanoseconds = _of_day(h or "0", mi or "0", s, f)
    return b"\x0a" + struct.pack("<qI", 86400 * _days(y, mo, d) + seconds, nanoseconds)


def _timestamp_utc(value: Any) -> bytes:
    form = f"{_DAY}[T ]{_OF_DAY % 6}(?:Z|([+-])([0-9]{{2}}):?([0-9]{{2}}))"
    y, mo, d, h, mi, s, f, sign, hours, minutes = _groups(value, form)
    seconds, nanoseconds = _of_day(h, mi, s, f)
    if sign:
        refuse_unless(int(hours) < 24 and int(minutes) < 60, "no zone")
        zone = 3600 * int(hours) + 60 * int(minutes)
        seconds -= zone if sign == "+" else -zone
    return b"\x0b" + struct.pack("<qI", 86400 * _days(y, mo, d) + seconds, nanoseconds)


def _json(value: Any) -> bytes | None:
    if type(value) is Field:
        value = _parsed(value.encode())
        if value is None:
            return None
    return b"\x12" + _text(_canonical(value, 16))


def _canonical(value: Any, depth: int) -> str:
    """RFC 8785, of numbers that are integers of up to 2**53 or floats."""
    refuse_unless(depth > 0 or not isinstance(value, dict | list), "too deep")
    if type(value) is Number:
        return _shortest(str(value))
    if isinstance(value, list):
        return "[" + ",".join(_canonical(one, depth - 1) for one in value) + "]"
    if isinstance(value, dict):
        # By UTF-16, as JavaScript sorts.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        pairs = [f"{_canonical(key, 1)}:{_canonical(value[key], depth - 1)}" for key in keys]
        return "{" + ",".join(pairs) + "}"
    return json.dumps(value, ensure_ascii=False)


def _shortest(written: str) -> str:
    """A number as JavaScript prints the float64 that it is."""
    number = float(written)
    refuse_unless(abs(number) < float("inf"), "beyond the range")
    refuse_unless(not 2**53 <= abs(number) < 10**21, "a number that readers may round")
    if re.fullmatch("-?[0-9]+", written):
        refuse_unless(Fraction(number) == _whole(written), "an integer that is rounded")
    return canonical(number).decode()


def _unwritten(_: Any) -> bytes:
    raise Refused("a type that text has not")


_SCALARS: dict[str, Any] = {
    "bool": _bool,
    "int": _int,
    **{name: _float(name) for name in _FLOATS},
    "text": lambda value: b"\x07" + _text(_is_text(value)),
    "timestamp": _timestamp,
    "timestamp-utc": _timestamp_utc,
    "date": _date,
    "time": _time,
    "json": _json,
    "file": _file,
    "binary": _unwritten,
    "duration": _unwritten,
}
