"""Casting verified columns to the types of another library, or an error that names the column.

Libraries silently convert types that they lack, with overflows and lost digits. Arrow's cast
refuses those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.errors import InputError

_Rows = TypeVar("_Rows", pa.Table, pa.RecordBatch)
_HINT = "use provreg.loaders.arrow or .pandas, which support every value"


def recast(rows: _Rows, held: Callable[[pa.DataType], pa.DataType], where: str) -> _Rows:
    """`rows` cast to the types that `held` returns, for the library `where`.

    Raises InputError, naming the column, for values that do not fit.
    """
    for place, field in enumerate(rows.schema):
        wanted = _within(field.type, held)
        if wanted == field.type:
            continue
        try:
            column = rows.column(place).cast(wanted)
        except pa.ArrowException as error:
            raise no_type(field.name, where, error) from None
        rows = rows.set_column(place, pa.field(field.name, wanted), column)
    return rows


def no_type(column: str, where: str, error: BaseException) -> InputError:
    """The error for a column with a value for which `where` has no type."""
    return InputError(
        f"column {quoted(column)} holds a value for which {where} has no type:"
        f" {quoted(str(error))}",
        hint=_HINT,
    )


def python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Each row as Python values by column.

    Times are of `datetime`, whether or not pandas is installed. Raises InputError as `recast`.
    """
    batch = recast(batch, _in_microseconds, "Python")
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            columns.append(column.to_pylist())
        except (ArithmeticError, ValueError, pa.ArrowException) as error:
            raise no_type(name, "Python", error) from None
    names = batch.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _in_microseconds(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(arrow):
        return pa.timestamp("us", arrow.tz)
    if pa.types.is_duration(arrow):
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time(arrow) else arrow


def _within(arrow: pa.DataType, held: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    kinds = pa.types
    if kinds.is_list(arrow):
        return pa.list_(_within(arrow.value_type, held))
    if kinds.is_struct(arrow):
        return pa.struct([field.with_type(_within(field.type, held)) for field in arrow])
    if kinds.is_map(arrow):
        return pa.map_(_within(arrow.key_type, held), _within(arrow.item_type, held))
    return held(arrow)
