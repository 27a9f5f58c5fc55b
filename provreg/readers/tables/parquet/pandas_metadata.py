"""What pandas keeps of a frame beside the columns of an Arrow or Parquet file: nobody signs it.

`pandas.read_parquet`, Dask and `Table.to_pandas` rename and convert columns as it says; all other
readers take the columns as they are. So it may say no more than the columns do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, InputError
from provreg.readers.data_files.source_file import display

if TYPE_CHECKING:
    from collections.abc import Set

    from provreg.readers.data_files.source_file import SourceFile

KEY = b"pandas"
_MAX_JSON = 16 * 1024 * 1024
_HINT = "write the file again without it: table.replace_schema_metadata(None) in pyarrow"
_UNNAMED = re.compile(r"__index_level_[0-9]+__")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_TIMES = re.compile(r"(datetime|timedelta)64\[(s|ms|us|ns)\]")
_CODES = frozenset({"int8", "int16", "int32", "int64"})
_STRINGS = frozenset({"str", "string", "string[python]", "string[pyarrow]"})
# What pandas infers of names of columns that are text; fastparquet calls them mixed, always.
_NAMES = frozenset({"unicode", "string", "mixed", "mixed-integer", "empty"})
_NUMBERS = {
    "bool": pa.bool_(),
    **{
        f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")()
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    **{f"float{bits}": getattr(pa, f"float{bits}")() for bits in (16, 32, 64)},
}
_NULLABLE = {"boolean": "bool"} | {
    name.replace("int", "Int").replace("uI", "UI").replace("float", "Float"): name
    for name in _NUMBERS
    if name not in {"bool", "float16"}
}
# Words for what a column holds that change nothing; the others are held against its type.
_WORDS = frozenset(
    {"object", "unicode", "string", "bytes", "empty", "json", "mixed", "mixed-integer"}
    | {"date", "time", "datetime", "timedelta", "decimal", "categorical"}
)


def check_pandas(file: SourceFile, schema: pa.Schema) -> None:
    """Raises InputError where the metadata of `schema`, which `file` has, make pandas read other
    names or values than the columns hold, or are of a form that is not known."""
    written = (schema.metadata or {}).get(KEY)
    if written is None:
        return
    try:
        _check(parse_json(written, what="pandas' metadata", limit=_MAX_JSON), schema)
    except FormatError as error:
        raise InputError(f"{display(file.path)}: {error.message}", hint=_HINT) from None


def _check(document: Any, schema: pa.Schema) -> None:
    columns, index = _items(document, "columns"), _items(document, "index_columns")
    levels = [level for level in index if isinstance(level, str)]
    if not all(_is_range(level) for level in index if not isinstance(level, str)):
        raise FormatError("pandas' metadata name an index that is neither a column nor a range")
    said = [column.get("field_name") if isinstance(column, dict) else None for column in columns]
    if not all(isinstance(name, str) for name in said) or len(set(said)) < len(said):
        raise FormatError("pandas' metadata do not say of each column once what it is")
    if len(set(levels)) < len(levels):
        raise FormatError("pandas' metadata name a column of the index twice")
    names, of_index = frozenset(schema.names), frozenset(levels)
    # Of columns that are gone, they may say anything: pandas skips them.
    for column in columns:
        if (place := schema.get_field_index(column["field_name"])) >= 0:
            _check_column(column, schema.field(place).type, names, of_index)
    _check_names(_items(document, "column_indexes"), names - of_index)


def _check_column(
    column: dict[str, Any], arrow: pa.DataType, names: Set[str], levels: Set[str]
) -> None:
    field, name = column["field_name"], column.get("name", 0)
    # An index without a name, or with that of a column, stands under a name that pandas made.
    given = name in names if isinstance(name, str) else name is None
    made = field in levels and _UNNAMED.fullmatch(field) and given
    if str(name) != field and not made:
        raise FormatError(f"pandas' metadata give the column {quoted(field)} another name")
    if not _fits(column, arrow):
        raise FormatError(
            f"pandas' metadata make another type than {quoted(str(arrow))} of the column"
            f" {quoted(field)}"
        )


def _fits(column: dict[str, Any], arrow: pa.DataType) -> bool:
    word, dtype = column.get("pandas_type"), column.get("numpy_type")
    if not isinstance(word, str) or not isinstance(dtype, str):
        return False
    values = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
    if word == "datetimetz":
        said = column.get("metadata")
        zone = said.get("timezone") if isinstance(said, dict) else None
        if not pa.types.is_timestamp(values) or zone is None or zone != values.tz:
            return False
    elif word in _NUMBERS:
        if _NUMBERS[word] != values:
            return False
    elif word not in _WORDS and not word.startswith("list["):
        return False
    if word == "categorical" and dtype in _CODES:
        return True
    return _is_type(dtype, values)


def _is_type(dtype: str, arrow: pa.DataType) -> bool:
    """Whether what pandas calls `dtype` holds the values of `arrow` as they are."""
    if dtype in {"object", f"{arrow}[pyarrow]"}:
        return True
    if (number := _NUMBERS.get(_NULLABLE.get(dtype, dtype))) is not None:
        return bool(number == arrow)
    if dtype in _STRINGS or dtype == "large_string[pyarrow]":
        return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow))
    if match := _TIMES.fullmatch(dtype):
        is_time = pa.types.is_timestamp if match[1] == "datetime" else pa.types.is_duration
        return bool(is_time(arrow))
    return False


def _check_names(indexes: list[Any], names: Set[str]) -> None:
    """Names of columns are converted too: to numbers, times, tuples."""
    if not indexes:
        return
    index = indexes[0] if len(indexes) == 1 else None
    if isinstance(index, dict) and isinstance(index.get("name"), str | None):
        word, dtype = index.get("pandas_type"), index.get("numpy_type")
        if word in _NAMES and (dtype == "object" or dtype in _STRINGS):
            return
        # 0, 1, 2 … where nobody gave names: as text and as numbers they are the same.
        if word == dtype == "int64" and all(_WHOLE.fullmatch(name) for name in names):
            return
    raise FormatError("pandas' metadata make something else than text of the columns' names")


def _is_range(level: Any) -> bool:
    return isinstance(level, dict) and level.get("kind") == "range"


def _items(document: Any, name: str) -> list[Any]:
    items = document.get(name) if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise FormatError(f"pandas' metadata have no list of {name}")
    return items
