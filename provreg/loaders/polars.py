"""Verified tables as polars data frames (extra `polars`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.errors import UsageError, needs_extra
from provreg.loaders import arrow
from provreg.loaders.passes.recast import recast

with needs_extra("polars"):
    import polars as pl

if TYPE_CHECKING:
    from provreg.loaders.arrow import Signed
    from provreg.loaders.samples import VerifiedSamples

_DIGITS = 38


def frame(samples: VerifiedSamples, signed: Signed = ("label",)) -> pl.DataFrame:
    """The rows of a table version, in the order of the data, with the columns `signed`.

    Columns and errors as `provreg.loaders.arrow.reader`. InputError for values without a type in
    polars: decimals of more than 38 digits, times in seconds beyond the range of milliseconds.
    """
    table = recast(arrow.table(samples, signed), _storage_type, "polars")
    try:
        return pl.DataFrame(table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise UsageError(
            f"polars has no type for a column of {samples.reference}: {quoted(str(error))}",
            hint="use provreg.loaders.arrow or .pandas, which support every type",
        ) from None


def _storage_type(arrow_type: pa.DataType) -> pa.DataType:
    kinds = pa.types
    if kinds.is_decimal256(arrow_type) and 0 <= arrow_type.scale <= _DIGITS:
        return pa.decimal128(_DIGITS, arrow_type.scale)
    if kinds.is_timestamp(arrow_type) and arrow_type.unit == "s":
        return pa.timestamp("ms", arrow_type.tz)
    if kinds.is_duration(arrow_type) and arrow_type.unit == "s":
        return pa.duration("ms")
    return arrow_type
