"""Tables of text against the plain readers: the second reader's, and Python's csv and json.

    python tests/fuzz_text.py --seconds 3600 [--seed N]

Files are made and broken by chance, and read in slices and chunks of odd sizes. Where we take a
file, the second reader (tests/vectors/second_table.py, from docs/format/row.md alone) must find the
same payloads, and refuse what we refuse; and Python's own parser must see the same rows and values.
The first difference ends the run: the file is kept, and named.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent / "vectors"))

import second_table as second
from second_conventions import Refused

from provreg.core.rows.column import columns_from_json, type_to_json
from provreg.core.rows.row import encode_rows
from provreg.errors import InputError
from provreg.readers.data_files.source_file import ValueMismatchError, stat_source
from provreg.readers.tables.options import TableOptions
from provreg.readers.tables.rows import READERS
from provreg.readers.tables.text import delimited, json_array, jsonlines

Types = dict[str, Any]

NUMBERS = [
    "0", "-0", "1", "-7", "007", "+1", "1.5", "-1.25", ".5", "5.", "1e3", "1E-3", "1e400",
    "-1e-400", "1e99999999999999999999", "0x10", "1_000", " 1", "1 ", "", "nan", "-NaN", "inf",
    "Infinity", "9007199254740993", "16777217", "2049", "2049.0", "65504",
    "65519.99999999999999999", "65520", "1.00048828125", "1.00048828125000000001",
    "1.00048828124999999999", "2.98023223876953125e-8", "2.980232238769531250000001e-8",
    "1.000000059604644775390625", "1.00000005960464477539062500001", "3.4028235677973366e38",
    "3.40282356779733661637539395458142568447e38", "1e-46", "5e-324", "2.4703282292062327e-324",
    "2.4703282292062328e-324", "1.7976931348623158e308", "1.7976931348623159e308",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "1" * 38, "9" * 39,
    "-" + "9" * 45, "1" * 80, "0" * 40 + "1", "0.10", "12.345",
    "99999999999999999999.99", "1" * 76, "-" + "9" * 77, "1.", "1.e5", "--1", "1e", "\uff11",
    "1\u0660", "000000000000000000000.1", "1234500", "100", "1" * 76 + "00",
]  # fmt: skip
TIMES = [
    "2024-02-29", "2023-02-29", "2024-13-01", "2024-00-01", "0000-01-01", "0001-01-01",
    "9999-12-31", "2024-01-02T03:04", "2024-01-02 03:04:05", "2024-01-02T03:04:05.1",
    "2024-01-02T03:04:05.123456", "2024-01-02T03:04:05.1234567", "2024-01-02T24:00",
    "2024-01-02T23:60", "2024-01-02T23:59:60", "2024-01-02T03:04Z", "2024-01-02T03:04:05+01:00",
    "2024-01-02T03:04-0130", "2024-01-02T03:04+24:00", "2024-01-02T03:04+23:59",
    "2024-01-02T03:04+01", "2024-01-02T03:04+00:60", "0000-01-01T00:00+01:00",
    "9999-12-31T23:59:59.999999-23:59", "03:04", "03:04:05", "03:04:05.123456789", "24:00",
    "23:59:60", "3:04", "03:04:05.", "1969-12-31T23:59:59.5Z", "2024-1-2", " 2024-01-02",
    "2024-01-02T03", "1600-02-29", "1700-02-29", "-001-01-01", "2024-01-02t03:04",
    "2024-01-02T03:04z",
]  # fmt: skip
WORDS = [
    "a", "b", "é", "\ufeff", "\ufeffx", "NA", "null", "true", "True", "TRUE", "tRUE", "false",
    "FALSE", 'a"b', '"', '""', "a,b", "x\ny", "x\r\ny", "x\ry", "\t", " ", "\x00", "\x7f",
    "\u2028", "\x0b", "\x1c", "\x85", "𝄞", "provreg: end of file", "[]", "{}", "a;b",
]  # fmt: skip
FLAT: list[Any] = [
    "text", "text", "text", "bool", "int", "int", {"int": "uint64"}, "float16", "float32",
    "float64", {"decimal": 2}, {"decimal": 0}, {"decimal": -2}, {"decimal": 76},
    {"decimal128": 0}, {"decimal128": 38}, "timestamp", "timestamp-utc", "date", "time",
]  # fmt: skip
OF_TIME = ("timestamp", "timestamp-utc", "date", "time")
BROKEN = [
    b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b" ", b";", b"\t",
    b'"\n', b',"', b'",', b"{", b"}", b"[", b"]", b":", b"\\", b"\\u", b"null", b"1", b"e", b"-",
    b"NaN", b"\xed\xa0\x80", b'"a":', b"\n\n", b"x",
]  # fmt: skip


def text_for(chance: random.Random, kind: Any) -> str:
    """A text that may stand for a value of `kind`, more often than not."""
    draw = chance.random()
    if draw < 0.15:
        return chance.choice(WORDS)
    if kind == "text":
        return chance.choice(WORDS) + chance.choice(WORDS) if draw < 0.5 else f"w{chance.random()}"
    if kind == "bool":
        return chance.choice(["true", "false", "True", "FALSE"])
    if kind == "json":
        return json_for(chance, kind)
    if kind in OF_TIME:
        if draw < 0.6:
            return chance.choice(TIMES)
        day = f"{chance.randint(0, 9999):04}-{chance.randint(1, 12):02}-{chance.randint(1, 29):02}"
        of_day = f"{chance.randint(0, 24):02}:{chance.randint(0, 60):02}"
        if chance.random() < 0.7:
            of_day += f":{chance.randint(0, 60):02}"
            if chance.random() < 0.5:
                of_day += "." + "".join(chance.choices("0123456789", k=chance.randint(1, 10)))
        zone = chance.choice(["Z", "+01:00", "-2359", "+0000"]) if kind == "timestamp-utc" else ""
        return {"date": day, "time": of_day}.get(kind, f"{day}T{of_day}{zone}")
    return number_for(chance, kind)


def number_for(chance: random.Random, kind: Any) -> str:
    draw = chance.random()
    if draw < 0.3:
        return chance.choice(NUMBERS)
    if draw < 0.5:
        return str(chance.randint(-(2 ** chance.randint(1, 66)), 2 ** chance.randint(1, 66)))
    if isinstance(kind, dict):
        return f"{chance.randint(-(10**9), 10**9)}.{chance.randint(0, 999)}"
    if draw < 0.6:
        return repr(chance.uniform(-1, 1) * 10 ** chance.randint(-45, 45))
    return near_midpoint(chance, kind)


def near_midpoint(chance: random.Random, kind: Any) -> str:
    """A number between two floats of a width, exactly or by a hair."""
    digits, low, high = {"float16": (11, -25, 4), "float32": (24, -150, 100)}.get(
        kind, (53, -60, 60)
    )
    odd = 2 * chance.randint(0, 2**digits) + 1
    power = chance.randint(low, high)
    whole = odd * 2**power if power >= 0 else odd * 5**-power
    written = str(whole) if power >= 0 else f"{whole}e{power}"
    hair = chance.choice(["", "", "1", "0000000001"])
    if hair and "e" in written:
        mantissa, exponent = written.split("e")
        written = f"{int(mantissa) + chance.choice([0, -1])}.{hair}e{exponent}"
    elif hair:
        written = f"{written}.{hair}"
    return chance.choice(["", "-"]) + written


def csv_file(chance: random.Random, types: Types, dialect: dict[str, Any]) -> bytes:
    delimiter = dialect["delimiter"]

    def field(text: str) -> str:
        if not dialect["quoting"]:
            return text.replace(delimiter, "").replace("\n", "").replace("\r", "")
        plain = not any(c in text for c in f'"\r\n{delimiter}')
        if (plain and chance.random() < 0.8) or chance.random() < 0.03:
            return text
        return '"' + text.replace('"', '""') + '"'

    ending = chance.choice(["\n", "\n", "\r\n"])
    lines = [delimiter.join(field(name) for name in types)]
    for _ in range(chance.randint(0, 12)):
        row = [text_for(chance, kind) if chance.random() < 0.9 else "" for kind in types.values()]
        lines.append(delimiter.join(field(text) for text in row))
        if chance.random() < 0.01:
            lines.append("")
    data = ending.join(lines).encode() + (ending.encode() if chance.random() < 0.8 else b"")
    return (b"\xef\xbb\xbf" if chance.random() < 0.1 else b"") + data


def broken(chance: random.Random, data: bytes) -> bytes:
    """`data`, in every other case changed in a few places."""
    if chance.random() < 0.5:
        return data
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(data))
        kind = chance.random()
        if kind < 0.5:
            data = data[:at] + chance.choice(BROKEN) + data[at:]
        elif kind < 0.75:
            data = data[:at] + data[at + chance.randint(1, 3) :]
        else:
            other = chance.randint(0, len(data))
            data = data[:at] + data[min(at, other) : max(at, other)] + data[at:]
    return data


def ours(file: Path, format_: str, options: TableOptions, sizes: tuple[int, int]) -> list[bytes]:
    """The payloads of the rows of a file, read in slices of these sizes. Raises as the readers."""
    with ExitStack() as stack:
        for module, name, value in (
            (delimited, "_SLICE", sizes[0]),
            (delimited, "_HEADER", sizes[1]),
            (jsonlines, "CHUNK", sizes[0]),
            (jsonlines, "_STEP", sizes[1]),
            (json_array, "CHUNK", sizes[1]),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        found = stat_source(file)
        reader = READERS[format_]
        payloads: list[bytes] = []
        for piece in reader.slices(found, options):
            for batch in reader.batches(piece, options):
                payloads += encode_rows(batch, options.payload_columns()).to_pylist()
        return payloads


def attempt(read: Callable[[], Any], *refusals: type[Exception]) -> tuple[Any, str]:
    try:
        return read(), ""
    except refusals as error:
        return None, f"{type(error).__name__}: {error}"


def columns_for(chance: random.Random) -> Types:
    names = chance.sample(["a", "b", "é", "c c", 'q"', "n\nn"], chance.randint(1, 4))
    return {name: chance.choice([*FLAT, "json"]) for name in names}


def try_csv(chance: random.Random, file: Path) -> str | None:
    types = columns_for(chance)
    dialect: dict[str, Any] = {
        "delimiter": chance.choice([",", ",", "\t", ";", " "]),
        "quoting": chance.random() < 0.75,
        "null_words": chance.choice([[""], [""], ["NA"], ["", "NA", "1"], []]),
    }
    data = broken(chance, csv_file(chance, types, dialect))
    file.write_bytes(data)
    columns = [{"name": name, "type": kind} for name, kind in types.items()]
    options = TableOptions(
        delimiter=dialect["delimiter"],
        quoting=dialect["quoting"],
        null_words=tuple(dialect["null_words"]),
        columns=columns_from_json(columns, "t"),
    )
    sizes = (chance.choice([1, 2, 3, 7, 16, 40, 1 << 20]), chance.choice([1, 5, 64, 1 << 16]))

    def plainly() -> list[bytes]:
        header, *rows = second.csv_rows(data, **dialect)
        if set(header) != set(types):
            raise Refused("other columns")
        return [second.payload(dict(zip(header, row, strict=True)), columns) for row in rows]

    found, why = attempt(lambda: ours(file, "csv", options, sizes), InputError, ValueMismatchError)
    wanted, refused = attempt(plainly, Refused)
    if found != wanted:
        return difference(found, why, wanted, refused, dialect, columns, sizes)
    if found is not None:
        quoting = csv.QUOTE_MINIMAL if dialect["quoting"] else csv.QUOTE_NONE
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        python = list(csv.reader(text, delimiter=dialect["delimiter"], quoting=quoting))
        plain = second.csv_rows(data, **{**dialect, "null_words": []})
        if python != [[str(field) for field in row] for row in plain]:
            return f"Python's csv has {python}, we {plain}"
    return None


LINES = {"json": second.json_array, "jsonl": second.json_lines}
NESTED: list[Any] = [
    {"list": "int"}, {"list": {"list": "float64"}}, {"map": ["text", "float16"]},
    {"list": "float16"}, {"list": {"int": "uint64"}},
    {"struct": [{"name": "x", "type": "float32"}, {"name": "y", "type": {"list": "text"}}]},
    {"list": {"struct": [{"name": "x", "type": "int"}, {"name": "[]", "type": {"decimal": 1}}]}},
    {"map": ["int", {"list": "bool"}]}, "json", {"list": "json"},
]  # fmt: skip


def json_for(chance: random.Random, kind: Any) -> str:
    """The JSON of a value that may be of a `kind`, more often than not."""
    draw = chance.random()
    if draw < 0.05:
        return chance.choice(
            ["null", "[]", "{}", "true", '""', "1", "NaN", "Infinity", "[1]", "nul"]
        )
    if draw < 0.1:
        return "null"
    if kind == "json":
        kind = chance.choice([*FLAT, *NESTED])
        return chance.choice(["0.10", "1E2", json_for(chance, kind), json_for(chance, kind)])
    if isinstance(kind, dict) and not {"decimal", "decimal128", "int"} & kind.keys():
        return nested_json(chance, kind)
    text = text_for(chance, kind)
    if kind == "bool" and draw < 0.9:
        return chance.choice(["true", "false"])
    if isinstance(kind, dict) or kind in ("int", "float16", "float32", "float64", "bool"):
        return text if chance.random() < 0.9 else json.dumps(text)
    return json.dumps(text, ensure_ascii=chance.random() < 0.3)


def nested_json(chance: random.Random, kind: Any) -> str:
    ((name, inner),) = kind.items()
    if name == "struct":
        fields = [field for field in inner if chance.random() < 0.8]
        pairs = [f"{json.dumps(f['name'])}:{json_for(chance, f['type'])}" for f in fields]
        return "{" + ",".join(pairs) + "}"
    if name == "list":
        return "[" + ",".join(json_for(chance, inner) for _ in range(chance.randint(0, 3))) + "]"
    both = [
        f'{{"key":{json_for(chance, inner[0])},"value":{json_for(chance, inner[1])}}}'
        for _ in range(chance.randint(0, 2))
    ]
    return "[" + ",".join(both) + "]"


def json_file(chance: random.Random, types: Types, format_: str) -> bytes:
    rows = []
    for _ in range(chance.randint(0, 10)):
        blank = chance.choice(["", "", " ", "\t"])
        some = [name for name in types if chance.random() < 0.85]
        pairs = [
            f"{json.dumps(name)}{blank}:{blank}{json_for(chance, types[name])}{blank}"
            for name in some
        ]
        rows.append("{" + ",".join(pairs) + "}")
    mark = "\ufeff" if chance.random() < 0.05 else ""
    if format_ == "json":
        blank = chance.choice(["", "\n", " ", "\r\n"])
        return f"{mark}[{blank}{f',{blank}'.join(rows)}{blank}]".encode("utf-8", "surrogatepass")
    ending = chance.choice(["\n", "\n", "\r\n", "\n\n"])
    text = mark + ending.join(rows) + (ending if chance.random() < 0.8 else "")
    return text.encode("utf-8", "surrogatepass")


def try_json(chance: random.Random, file: Path) -> str | None:
    kinds = chance.choice([FLAT, [*FLAT, *NESTED]])
    names = chance.sample(["a", "b", "é", "c c", "d", "e"], chance.randint(1, 4))
    types = {name: chance.choice(kinds) for name in names}
    format_ = chance.choice(["json", "jsonl"])
    data = broken(chance, json_file(chance, types, format_))
    file.write_bytes(data)
    columns = [{"name": name, "type": kind} for name, kind in types.items()]
    options = TableOptions(columns=columns_from_json(columns, "t"))
    sizes = (chance.choice([1, 2, 3, 7, 16, 40, 1 << 20]), chance.choice([1, 5, 64, 1 << 16]))

    def plainly() -> list[bytes]:
        return [second.payload(row, columns) for row in LINES[format_](data)]

    found, why = attempt(
        lambda: ours(file, format_, options, sizes), InputError, ValueMismatchError
    )
    wanted, refused = attempt(plainly, Refused)
    if found != wanted:
        return difference(found, why, wanted, refused, format_, columns, sizes)
    if found is not None:
        return other_values(file, format_, options, data)
    return None


def other_values(file: Path, format_: str, options: TableOptions, data: bytes) -> str | None:
    """Where values are not those of Python's json; texts that stand for times are left out."""
    text = data.decode("utf-8-sig")
    lines = [line for line in text.split("\n") if line.strip(" \t\r")]
    python = json.loads(text) if format_ == "json" else [json.loads(line) for line in lines]
    found = stat_source(file)
    reader = READERS[format_]
    kinds = {column.name: type_to_json(column.type) for column in options.columns or ()}
    kinds = {name: kind for name, kind in kinds.items() if kind not in OF_TIME}
    rows = [
        row
        for piece in reader.slices(found, options)
        for batch in reader.batches(piece, options)
        for row in batch.select(list(kinds)).to_pylist()
    ]
    for row, (theirs, values) in enumerate(zip(python, rows, strict=True)):
        for name, kind in kinds.items():
            if not same(theirs.get(name), values[name], kind):
                return f"row {row}: Python's json has {theirs.get(name)!r}, we {values[name]!r}"
    return None


def same(theirs: Any, value: Any, kind: Any) -> bool:
    if theirs is None or value is None:
        return theirs is value
    if kind == "json":
        return bool(theirs == json.loads(value))
    if kind in ("float16", "float32"):
        # Rounded as the column asks for; that it is the nearest the second reader has seen.
        near = {"float16": 2.0**-11, "float32": 2.0**-24}[kind]
        return math.isclose(theirs, value, rel_tol=near, abs_tol=2.0**-25)
    if kind in ("bool", "int", "float64", "text"):
        return bool(theirs == value) and isinstance(theirs, bool) == isinstance(value, bool)
    if isinstance(kind, str):
        return True
    ((name, inner),) = kind.items()
    if name == "int":
        return bool(theirs == value)
    if name in {"decimal", "decimal128"}:
        return bool(math.isclose(float(theirs), float(value), rel_tol=1e-15))
    if name == "struct":
        return all(same(theirs.get(f["name"]), value[f["name"]], f["type"]) for f in inner)
    if len(theirs) != len(value):
        return False
    if name == "list":
        return all(same(one, other, inner) for one, other in zip(theirs, value, strict=True))
    return all(
        same(one["key"], key, inner[0]) and same(one.get("value"), item, inner[1])
        for one, (key, item) in zip(theirs, value, strict=True)
    )


def difference(*facts: Any) -> str:
    names = ("ours", "why", "second", "why", "dialect", "columns", "sizes")
    return "\n".join(f"{name}: {fact}" for name, fact in zip(names, facts, strict=False))


TRIES = [try_csv, try_json]


def run(seconds: float, seed: int, folder: Path, most: int | None = None) -> str | None:
    """The first difference found in `seconds`, None where there is none."""
    end = time.monotonic() + seconds
    last = time.monotonic()
    number = seed
    while time.monotonic() < end and (most is None or number < seed + most):
        chance = random.Random(number)  # noqa: S311
        one = TRIES[number % len(TRIES)]
        found = one(chance, folder / "table")
        if found is not None:
            data = (folder / "table").read_bytes()
            return f"{one.__name__}, seed {number}: {data!r}\n{found}"
        number += 1
        if time.monotonic() - last > 60:
            last = time.monotonic()
            print(f"{number - seed} files without a difference", flush=True)  # noqa: T201
    print(f"{number - seed} files without a difference", flush=True)  # noqa: T201
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(arguments.seconds, arguments.seed, Path(folder)))
