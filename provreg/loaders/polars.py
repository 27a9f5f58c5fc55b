"""Verified tables as polars data frames (extra `polars`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from provreg.core.extras import needs_extra
from provreg.core.text import quoted
from provreg.errors import InputError
from provreg.loaders import arrow

with needs_extra("polars"):
    import polars as pl

if TYPE_CHECKING:
    from provreg.loaders.arrow import Signed
    from provreg.loaders.samples import VerifiedSamples

_DIGITS = 38


def frame(samples: VerifiedSamples, signed: Signed = ("label",)) -> pl.DataFrame:
    """The rows of a table version, in the order of the data, and what is `signed` of each.

    Columns and errors are as `provreg.loaders.arrow.reader` has them. Decimals have the 38 digits
    that polars knows: InputError for one that needs more.
    """
    table = arrow.table(samples, signed)
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal256(field.type):
            narrow = pa.decimal128(_DIGITS, field.type.scale)
            try:
                column = table.column(place).cast(narrow)
            except pa.ArrowInvalid:
                raise InputError(
                    f"column {quoted(field.name)} holds decimals of more than {_DIGITS} digits",
                    hint="polars does not know such; provreg.loaders.arrow and .pandas do",
                ) from None
            table = table.set_column(place, pa.field(field.name, narrow), column)
    return pl.DataFrame(table)
