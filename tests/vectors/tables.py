"""Vectors of tables: a file of text and its schema, and the payloads that its rows have."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from blake3 import blake3

from provreg.core.rows.column import columns_from_json
from provreg.core.rows.row import encode_rows
from provreg.errors import InputError
from provreg.readers.data_files.source_file import ValueMismatchError, stat_source
from provreg.readers.tables.options import TableOptions
from provreg.readers.tables.rows import READERS
from provreg.readers.tables.table import read_table

AB = {"a": "text", "b": "text"}
TYPES = {
    "b": "bool", "i": "int", "u": {"int": "uint64"}, "h": "float16", "f": "float32",
    "d": "float64", "t": "text", "p": {"decimal": 2}, "at": "timestamp", "z": "timestamp-utc",
    "day": "date", "o": "time",
}  # fmt: skip
EXACT = "1.00048828125,1.000000059604644775390625,0.1"

GOOD: list[tuple[str, str, dict[str, Any], bytes, dict[str, Any]]] = [
    ("csv-types", "a field of every type", TYPES,
     b"b,i,u,h,f,d,t,p,at,z,day,o\n"
     b"TRUE,-007,-0,1.5,0.1,1e3,x,-1.5,2024-01-02,"
     b"2024-01-02 03:04+01:00,1969-12-31,23:59:59.123456789\n"
     b"false,9223372036854775807,18446744073709551615,-0,+.5,-5.,,0,2024-02-29T03:04:05.000006,"
     b"0000-01-01T00:00Z,9999-12-31,00:00\n",
     {}),
    ("csv-quotes", "quotes around fields, doubled inside them, and within fields without",
     AB, b'a,"b"\n"x\n""y"",",5" disk\nz"",""\n', {}),
    ("csv-byte-order-mark", "a byte order mark at the beginning, and text that looks like one",
     AB, b'\xef\xbb\xbf"a",b\n1,2\n\xef\xbb\xbf1,2\n', {}),
    ("csv-line-ends", "CRLF and LF, no line end at the end",
     AB, b'a,b\r\n1,2\n3,"4\r5"\r\n6,7', {}),
    ("csv-null-words", "words that mean null, unless quoted", AB,
     b'a,b\nNA,\n"NA",""\n', {"null_words": ["NA"]}),
    ("csv-no-null-words", "an empty field that is text", AB, b"a,b\n,1\n", {"null_words": []}),
    ("csv-semicolons", "another delimiter", AB, b'a;b\n1,5;"x;y"\n', {"delimiter": ";"}),
    ("tsv-without-quoting", "quotes that are text like others", AB,
     b'a\tb\n"To be\tgood\nthe end"\t"x"\n', {"delimiter": "\t", "quoting": "none"}),
    ("csv-floats-between-two", "floats just between two others: to the even one",
     {"h": "float16", "f": "float32", "d": "float64"}, f"h,f,d\n{EXACT}\n".encode(), {}),
    ("csv-floats-rounded-once", "floats a hair beside the middle: rounded once, not twice",
     {"h": "float16", "f": "float32", "d": "float64"},
     b"h,f,d\n1.00048828125000000001,1.00000005960464477539062500001,9007199254740993.0000001\n"
     b"65519.99999999999999999,3.4028235677973366e38,2.4703282292062328e-324\n"
     b"2.98023223876953125e-8,7.006492321624085e-46,-1e-400\n", {}),
    ("csv-special-floats", "NaN and infinities have a form in CSV",
     {"h": "float16", "d": "float64"},
     b"h,d\n-nan,NaN\n+Infinity,-inf\n", {}),
    ("csv-decimals", "decimals of every scale",
     {"a": {"decimal": 0}, "b": {"decimal": 76}, "c": {"decimal": -2}},
     b"a,b,c\n" + b"9" * 76 + b",-0." + b"0" * 75 + b"1,-1200\n-0,0.5,000\n", {}),
    ("csv-timestamps", "moments of far years and zones", {"at": "timestamp", "z": "timestamp-utc"},
     b"at,z\n0000-01-01,0000-01-01T00:00+23:59\n"
     b"9999-12-31 23:59:59.999999,9999-12-31T23:59:59.5-2359\n"
     b"1900-02-28T00:00,1600-02-29T00:00Z\n", {}),
    ("csv-json", "JSON in a field, canonical in the payload", {"j": "json", "k": "text"},
     b'j,k\n"{""b"": 1.0, ""a"": [1E2, ""\\u00e9""]}",\nnull,x\n-0.0,\n', {}),
    ("jsonl-types", "a value of every type", TYPES,
     b'{"b":true,"i":-7,"u":-0,"h":1.5,"f":0.1,"d":1e3,"t":"x","p":-1.5,"at":"2024-01-02",'
     b'"z":"2024-01-02T03:04Z","day":"1969-12-31","o":"23:59"}\r\n\n'
     b' {"i":-9223372036854775808,"u":18446744073709551615,"t":null}\n',
     {}),
    ("json-nested", "lists, structs and maps",
     {"l": {"list": "int"}, "s": {"struct": [{"name": "x", "type": "float16"}]},
      "m": {"map": ["text", "int"]}},
     b'[\n {"l": [1, null], "s": {}, "m": [{"key": "k", "value": null}]},\n'
     b' {"s": {"x": 1.00048828125000000001}}]\n',
     {}),
    ("jsonl-decimals", "decimals as numbers and as texts", {"p": {"decimal": 2}},
     b'{"p":1.5}\n{"p":"1.50"}\n{"p":-0}\n{"p":99999999999999999999.99}\n', {}),
    ("jsonl-integers-in-decimals", "integers of both ends in short decimals",
     {"i": {"decimal128": 0}, "s": {"decimal128": 38}},
     b'{"i":-1,"s":0.99999999999999999999999999999999999999}\n{"i":18446744073709551615,"s":0}\n'
     b'{"i":-99999999999999999999999999999999999999}\n', {}),
    ("jsonl-of-any-shape", "values of several types, taken as canonical JSON", {"m": "json"},
     b'{"m":"hi"}\n{"m":[{"\\ud83d\\ude00":1,"\\ufb33":2,"a":1e21}]}\n{"m":null}\n{"m":0.000001}\n'
     b'{"m":1e-7}\n{"m":1000000000000000000000}\n', {}),
    ("jsonl-integers-in-floats", "integers that are floats exactly",
     {"d": "float64", "f": "float32"},
     b'{"d":9007199254740992,"f":16777216}\n{"d":-0,"f":1}\n', {}),
    ("csv-excluded-column", "a column that is not read", AB, b"n,b,a\nx,2,1\ny,4,3\n",
     {"columns_excluded": ["n"]}),
    ("csv-added-column", "a column that a file may lack is null", AB, b"a\n1\n2\n",
     {"columns_added": ["b"]}),
    ("jsonl-excluded-column", "a key that is not read, of values of any kind", AB,
     b'{"a":"1","n":{"x":[1,"y"]}}\n{"n":1,"b":"2"}\n{"n":null}\n',
     {"columns_excluded": ["n"]}),
    ("jsonl-added-column", "rows with a column and without it", AB,
     b'{"a":"1"}\n{"a":"1","b":null}\n{"a":"1","b":"2"}\n', {"columns_added": ["b"]}),
]  # fmt: skip

INT, FLOAT64, DECIMAL = {"a": "int"}, {"a": "float64"}, {"a": {"decimal": 2}}
WRONG: list[tuple[str, str, dict[str, Any], bytes]] = [
    ("csv-additional-column", "a column that is not in the schema", AB, b"a,b,n\n1,2,x\n"),
    ("csv-missing-column", "a column of the schema that the file lacks", AB, b"a\n1\n"),
    ("csv-open-quote", "a quote that is never closed", AB, b'a,b\n1,"2\n'),
    ("csv-hidden-rows", "rows behind a quote that is never closed", AB,
     b'a,b\n1,2\nprovreg: end of file,"\n3,4\n'),
    ("csv-behind-quote", "text behind a closing quote", AB, b'a,b\n1,"2"x\n'),
    ("csv-blank-behind-quote", "a blank behind a closing quote", AB, b'a,b\n"1" ,2\n'),
    ("csv-lone-return", "a carriage return without a line feed", AB, b"a,b\n1,2\r3,4\n"),
    ("csv-nul", "a NUL byte", AB, b"a,b\n1,\0\n"),
    ("csv-not-utf8", "a byte that is not UTF-8", AB, b"a,b\n1,\xff\n"),
    ("csv-blank-line-in-one-column", "a blank line that may be an empty field",
     {"a": "text"}, b"a\n1\n\n2\n"),
    ("csv-blank-line", "a blank line between two rows", AB, b"a,b\n1,2\n\n3,4\n"),
    ("csv-blank-line-of-return", "a blank line of CRLF between two rows",
     AB, b"a,b\r\n1,2\r\n\r\n3,4\r\n"),
    ("csv-blank-line-behind-header", "a blank line behind the header", AB, b"a,b\n\n1,2\n"),
    ("csv-blank-last-line", "a blank line behind the last row", AB, b"a,b\n1,2\n\n"),
    ("csv-blank-first-line", "a blank line before the header", AB, b"\na,b\n1,2\n"),
    ("csv-ragged", "a row of fewer fields than the header", AB, b"a,b\n1,2\n1\n"),
    ("csv-empty", "an empty file", AB, b""),
    ("csv-name-twice", "a column twice in the header", {"a": "text"}, b"a,a\n1,2\n"),
    ("csv-int-plus", "a plus before an integer", INT, b"a\n+1\n"),
    ("csv-int-underscore", "an underscore in an integer", INT, b"a\n1_000\n"),
    ("csv-int-blank", "a blank before an integer", INT, b"a\n 1\n"),
    ("csv-int-hexadecimal", "a hexadecimal integer", INT, b"a\n0x10\n"),
    ("csv-int-beyond", "an integer of 2^63 in int64", INT, b"a\n1\n9223372036854775808\n"),
    ("csv-uint64-beyond", "an integer of 2^64", {"a": {"int": "uint64"}},
     b"a\n18446744073709551616\n"),
    ("csv-uint64-negative", "an integer below 0 in uint64", {"a": {"int": "uint64"}},
     b"a\n9223372036854775808\n-1\n"),
    ("jsonl-integers-of-both-ends", "integers below 0 beside such of 2^63 and more", INT,
     b'{"a":-1}\n{"a":9223372036854775808}\n'),
    ("csv-float-beyond", "a float64 beyond the range", FLOAT64, b"a\n1.7976931348623159e308\n"),
    ("csv-float-huge-exponent", "an exponent beyond all numbers", FLOAT64,
     b"a\n1e99999999999999999999\n"),
    ("csv-float16-beyond", "a float16 that would be rounded to 2^16", {"a": "float16"},
     b"a\n65520\n"),
    ("csv-float32-integer", "an integer that no float32 is", {"a": "float32"}, b"a\n16777217\n"),
    ("csv-decimal-digits", "a decimal of more digits than its scale", DECIMAL, b"a\n1.500\n"),
    ("csv-decimal-exponent", "a decimal with an exponent", DECIMAL, b"a\n1e2\n"),
    ("csv-decimal-beyond", "a decimal that overflows", {"a": {"decimal": 76}}, b"a\n59.5\n"),
    ("csv-decimal-short-beyond", "a decimal of 39 digits in the short form",
     {"a": {"decimal128": 0}}, b"a\n999999999999999999999999999999999999999\n"),
    ("csv-decimal-negative-scale", "a decimal that is not whole", {"a": {"decimal": -2}},
     b"a\n1250\n"),
    ("csv-date", "a day that there is not", {"a": "date"}, b"a\n2023-02-29\n"),
    ("csv-timestamp-digits", "seven digits of a second", {"a": "timestamp"},
     b"a\n2024-01-02T03:04:05.1234567\n"),
    ("csv-timestamp-zone", "a zone of 24 hours", {"a": "timestamp-utc"},
     b"a\n2024-01-02T03:04+24:00\n"),
    ("csv-time", "24 o'clock", {"a": "time"}, b"a\n24:00\n"),
    ("csv-bool", "a number for a bool", {"a": "bool"}, b"a\n1\n"),
    ("csv-json-key-twice", "a key twice in JSON in a field", {"a": "json"},
     b'a\n"{""x"":1,""x"":2}"\n'),
    ("jsonl-key-twice", "a key twice", INT, b'{"a":1,"\\u0061":2}\n'),
    ("jsonl-unknown-key", "a key that is not in the schema", INT, b'{"a":1,"b":2}\n'),
    ("jsonl-nan", "NaN", FLOAT64, b'{"a":NaN}\n'),
    ("jsonl-huge-exponent", "an exponent beyond all numbers", DECIMAL,
     b'{"a":1e99999999999999999999}\n'),
    ("jsonl-decimal-exponent", "a decimal with an exponent", DECIMAL, b'{"a":1e2}\n'),
    ("jsonl-decimal-text", "a decimal as text in another form", DECIMAL, b'{"a":"+1"}\n'),
    ("jsonl-rounded-integer", "an integer that no float64 is", FLOAT64,
     b'{"a":9007199254740993}\n'),
    ("jsonl-float-for-int", "a float for an integer", INT, b'{"a":1.0}\n'),
    ("jsonl-text-for-int", "a text for an integer", INT, b'{"a":"1"}\n'),
    ("jsonl-surrogate", "half of a surrogate pair", {"a": "text"}, b'{"a":"\\ud800"}\n'),
    ("jsonl-two-on-a-line", "two objects on a line", INT, b'{"a":1}{"a":2}\n'),
    ("jsonl-integers-in-a-list", "an integer below 0 and one of 2^63 in one array",
     {"a": {"list": "int"}}, b'{"a":[-1,9223372036854775808]}\n'),
    ("jsonl-json-integer", "an integer in any shape that readers may round", {"a": "json"},
     b'{"a":[9007199254740993]}\n'),
    ("jsonl-json-large", "a number in any shape that canonical JSON writes with other digits",
     {"a": "json"}, b'{"a":9223372036854775808}\n'),
    ("jsonl-json-depth", "any shape nested 17 deep", {"a": "json"},
     b'{"a":' + b"[" * 17 + b"]" * 17 + b"}\n"),
    ("json-comma", "a comma too many", INT, b'[{"a":1},]'),
    ("json-more", "more after the array", INT, b'[{"a":1}] {}'),
    ("json-map-key", "a null key in a map", {"a": {"map": ["text", "int"]}},
     b'[{"a":[{"key":null,"value":1}]}]'),
]  # fmt: skip


# (name, what it shows, the columns, the file, roles, time and dialect)
SAMPLES: list[tuple[str, str, dict[str, Any], bytes, dict[str, Any]]] = [
    ("jsonl-labels-of-floats", "labels from floats: as RFC 8785 prints the float64, but for -0",
     {"x": "int", "h": "float16", "f": "float32", "d": "float64"},
     b'{"x":1,"d":1.0}\n{"x":2,"d":-0.0}\n{"x":3,"d":0}\n{"x":4,"d":0.1}\n{"x":5,"d":1e22}\n'
     b'{"x":6,"d":1e21}\n{"x":7,"d":123456789012345683968}\n{"x":8,"d":5e-324}\n{"x":9,"d":1e-7}\n'
     b'{"x":10,"d":0.000001}\n{"x":11,"d":-1.7976931348623157e308}\n{"x":12}\n{"x":13,"d":4.35}\n',
     {"roles": {"label": "d", "id": "x"}}),
    ("csv-labels-of-float32", "labels from narrow floats have the digits of the float64",
     {"x": "text", "f": "float32"}, b"x,f\na,0.1\nb,16777216\nc,1e-45\nd,3.4028235e38\n",
     {"roles": {"label": "f"}}),
    ("csv-labels-of-float16", "labels from half floats", {"x": "text", "h": "float16"},
     b"x,h\na,0.1\nb,65504\nc,-0\nd,6e-8\ne,\n", {"roles": {"label": "h"}}),
    ("csv-labels-of-every-kind", "labels from integers, and origins", {
        "x": "text", "l": "int", "s": "int", "o": "text", "w": "text", "at": "text"},
     b"x,l,s,o,w,at\n1,-007,1,camera,ann,2024-01-02T03:04:05.000006+01:00\n2,,,,,2024-01-02\n",
     {"roles": {"label": "l", "split": "s", "source": "o", "labeler": "w", "labeled_at": "at"}}),
    ("jsonl-labels-of-truth", "labels from truth values, ids from integers",
     {"i": "int", "b": "bool", "t": "text"},
     b'{"i":9223372036854775807,"b":true,"t":""}\n{"i":-1,"b":false}\n{"i":0}\n',
     {"roles": {"label": "b", "id": "i"}}),
    ("jsonl-ids-of-uint64", "ids from integers of 2^63 and more",
     {"i": {"int": "uint64"}, "t": "text"},
     b'{"i":18446744073709551615,"t":""}\n{"i":-0}\n{"i":9223372036854775808}\n',
     {"roles": {"id": "i"}}),
    ("csv-repeats", "repeats are numbered by label, split, source, labeler and time, null last",
     {"t": "text", "l": "text", "s": "text", "at": "timestamp"},
     b"t,l,s,at\nx,,b,2024-01-02\nx,b,,\nx,,,\nx,b,a,\nx,a\xc3\xa9,a,\nx,az,z,2024-01-02\ny,,,\n"
     b"x,az,z,2024-01-01\nx,az,z,2024-01-01\n",
     {"roles": {"label": "l", "split": "s", "labeled_at": "at"}}),
    ("jsonl-repeats-of-floats", "repeats are in the order of the labels' texts, not of the numbers",
     {"t": "text", "l": "float64"},
     b'{"t":"x","l":10}\n{"t":"x","l":9}\n{"t":"x","l":-1}\n{"t":"x"}\n',
     {"roles": {"label": "l"}}),
    ("csv-times", "ids from times of text: in UTC, without zeros at the end",
     {"t": "text", "v": "int"},
     b"t,v\n2024-01-02T03:04:05.120000+05:30,1\n2024-01-02,2\n0001-01-01T00:00Z,3\n"
     b"9999-12-31 23:59:59.999999Z,4\n2024-01-02 03:04,5\n", {"time": "t"}),
    ("csv-times-naive", "ids from naive times have no Z", {"t": "timestamp", "v": "int"},
     b"t,v\n2024-01-02T03:04:05.5,1\n2024-01-02,2\n", {"time": "t"}),
    ("csv-times-utc", "ids from times with zones are in UTC", {"t": "timestamp-utc", "v": "int"},
     b"t,v\n2024-01-02T00:00+01:00,1\n2024-01-02T03:04:05.5Z,2\n", {"time": "t"}),
    ("csv-times-of-days", "ids and splits from days", {"k": "text", "t": "date", "v": "int"},
     b"k,t,v\na,2024-01-01,1\na,2024-01-02,2\nb@,2024-01-02,3\na,2024-01-03,4\n",
     {"roles": {"id": "k"}, "time": "t",
      "split_at": ["2024-01-02T00:00:00Z", "2024-01-02T00:00:00.000001Z"]}),
]  # fmt: skip
JPEG, PNG = "ffd8ffe0", "89504e47"
# (name, what it shows, the columns, the file, roles and the files beside it)
FILES: list[tuple[str, str, dict[str, Any], bytes, dict[str, Any]]] = [
    ("jsonl-files", "files in lists and structs, one named twice, an empty one, and none",
     {"k": "int", "images": {"list": "file"},
      "parts": {"list": {"struct": [{"name": "image", "type": "file"}]}}},
     b'{"k":1,"images":["a.jpg","m/b.png",null],"parts":[{"image":"a.jpg"},{}]}\n'
     b'{"k":2,"images":["./a.jpg"]}\n{"k":3,"images":[]}\n{"k":4,"images":["empty"]}\n',
     {"roles": {"id": "k"}, "files": {"a.jpg": JPEG, "m/b.png": PNG, "empty": ""}}),
    ("csv-file-as-id", "files that are named by the ids", {"file_name": "file", "text": "text"},
     b"file_name,text\nb/2.jpg,a dog\nb/1.jpg,a cat\n",
     {"roles": {"id": "file_name"}, "files": {"b/1.jpg": JPEG, "b/2.jpg": PNG}}),
    ("csv-file-without-id", "rows of equal files and texts, told apart by numbers",
     {"image": "file", "label": "text"}, b"image,label\na.jpg,cat\na.jpg,cat\na.jpg,\n,cat\n",
     {"roles": {"label": "label"}, "files": {"a.jpg": JPEG}}),
]  # fmt: skip
NO_FILES: list[tuple[str, str, dict[str, Any], bytes, dict[str, Any]]] = [
    (f"csv-file-{name}", claim, {"k": "text", "image": "file"},
     f"k,image\n1,a.jpg\n2,{path}\n".encode(),
     {"roles": {"id": "k"}, "files": {"a.jpg": JPEG, "b/c.jpg": JPEG}})
    for name, claim, path in [
        ("missing", "a file that is not there", "b.jpg"),
        ("absolute", "an absolute path", "/etc/passwd"),
        ("parent", "a name that leads out of its folder", "b/../../a.jpg"),
        ("parent-inside", "a name with a segment .., though it stays inside", "b/../a.jpg"),
        ("url", "a URL", "https://example.org/a.jpg"),
        ("file-url", "a URL of a file", "file:///a.jpg"),
        ("folder", "a folder", "b"),
        ("empty-segment", "an empty segment", "b//c.jpg"),
        ("backslash", "a backslash", "b\\c.jpg"),
        ("bidirectional", "a name that turns text around", "a\u202e.jpg"),
    ]
]  # fmt: skip
NO_SAMPLES: list[tuple[str, str, dict[str, Any], bytes, dict[str, Any]]] = [
    ("csv-label-nan", "NaN is no label", {"t": "text", "l": "float64"}, b"t,l\nx,nan\n",
     {"roles": {"label": "l"}}),
    ("csv-label-infinite", "infinity is no label", {"t": "text", "l": "float32"},
     b"t,l\nx,-inf\n", {"roles": {"label": "l"}}),
    ("csv-id-null", "a row without an id", {"t": "text", "k": "text"}, b"t,k\nx,\n",
     {"roles": {"id": "k"}}),
    ("csv-id-twice", "an id that is duplicated, spelled in two ways", {"t": "text", "k": "int"},
     b"t,k\nx,7\ny,07\n", {"roles": {"id": "k"}}),
    ("csv-id-unsafe", "an id that holds what turns text around", {"t": "text", "k": "text"},
     "t,k\nx,a\u202eb\n".encode(), {"roles": {"id": "k"}}),
    ("csv-id-of-floats", "floats are no ids", {"t": "text", "k": "float64"}, b"t,k\nx,1\n",
     {"roles": {"id": "k"}}),
    ("csv-time-null", "a row without its time", {"t": "timestamp", "v": "int"}, b"t,v\n,1\n",
     {"time": "t"}),
    ("csv-time-twice", "two rows of one moment", {"t": "text", "v": "int"},
     b"t,v\n2024-01-02T01:00+01:00,1\n2024-01-02,2\n", {"time": "t"}),
    ("csv-time-before-the-calendar", "a moment that is before the year 1 in UTC",
     {"t": "timestamp-utc", "v": "int"}, b"t,v\n0001-01-01T00:00+01:00,1\n", {"time": "t"}),
    ("csv-labeled-before-the-calendar", "labeled in the year 0", {"at": "timestamp", "v": "int"},
     b"at,v\n0000-12-31,1\n", {"roles": {"labeled_at": "at"}}),
    ("csv-source-too-long", "a source of 257 bytes", {"s": "text", "v": "int"},
     b"s,v\n" + b"x" * 257 + b",1\n", {"roles": {"source": "s"}}),
]  # fmt: skip


def tables() -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each vector."""
    for name, claim, types, data, dialect in GOOD:
        payloads = read(data, said := _said(name, types, dialect))
        assert payloads is not None, name
        expect: dict[str, Any] = {
            "payloads": [payload.hex() for payload in payloads],
            "digests": [blake3(payload).hexdigest() for payload in payloads],
        }
        yield f"good-{name}", _written(claim, said, data, expect)
    for name, claim, types, data in WRONG:
        said = _said(name, types, {})
        assert read(data, said) is None, name
        yield name, _written(claim, said, data, "refused")
    for name, claim, types, data, roles in (*SAMPLES, *FILES):
        said = _said(name, types, roles)
        found = samples(data, said)
        assert found is not None, name
        yield f"good-{name}", _written(claim, said, data, {"samples": found})
    for name, claim, types, data, roles in (*NO_SAMPLES, *NO_FILES):
        said = _said(name, types, roles)
        assert samples(data, said) is None, name
        yield name, _written(claim, said, data, "refused")


def samples(data: bytes, said: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The samples as provreg reads them, by their ids; None for what it refuses."""
    options = TableOptions(
        **said.get("roles", {}),
        time=said.get("time"),
        split_at=tuple(said.get("split_at", ())),
        delimiter=said.get("delimiter"),
        null_words=tuple(said.get("null_words", ("",))),
        columns=columns_from_json(said["columns"], "vector"),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"table.{said['format']}")
        file.write_bytes(data)
        for name, content in said.get("files", {}).items():
            Path(folder, name).parent.mkdir(exist_ok=True)
            Path(folder, name).write_bytes(bytes.fromhex(content))
        try:
            found = read_table([file], said["format"], options).table
        except InputError:
            return None
    place = found.schema.get_field_index("labeled_at")
    found = found.set_column(place, "labeled_at", found["labeled_at"].cast(pa.int64()))
    named = [{name: value for name, value in one.items() if name != "size" and value is not None}
             for one in found.to_pylist()]  # fmt: skip
    for one in named:
        one["content"] = f"blake3:{one['content'].hex()}"
    return sorted(named, key=lambda one: str(one["id"]).encode())


def _said(name: str, types: dict[str, Any], dialect: dict[str, Any]) -> dict[str, Any]:
    columns = [{"name": column, "type": kind} for column, kind in types.items()]
    format_ = name.partition("-")[0]
    if format_ in ("json", "jsonl"):
        return {"format": format_, "columns": columns, **dialect}
    usual = {"delimiter": ",", "null_words": [""]}
    return {"format": format_, "columns": columns, **usual, **dialect}


def read(data: bytes, said: dict[str, Any]) -> list[bytes] | None:
    """The payloads as provreg reads them, None for what it refuses."""
    options = TableOptions(
        delimiter=said.get("delimiter"),
        quoting="quoting" not in said,
        null_words=tuple(said.get("null_words", ("",))),
        columns=columns_from_json(said["columns"], "vector"),
        excluded=tuple(said.get("columns_excluded", ())),
        added=tuple(said.get("columns_added", ())),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "table")
        file.write_bytes(data)
        reader = READERS[said["format"]]
        try:
            return [
                payload
                for piece in reader.slices(stat_source(file), options)
                for batch in reader.batches(piece, options)
                for payload in encode_rows(batch, options.columns or ()).to_pylist()
            ]
        except (InputError, ValueMismatchError):
            return None


def _written(claim: str, said: dict[str, Any], data: bytes, expect: Any) -> bytes:
    try:
        held = {"text": data.decode()}
    except UnicodeDecodeError:
        held = {"hex": data.hex()}
    fields = {"claim": claim, **said, **held, "expect": expect}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
