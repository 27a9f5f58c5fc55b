"""Verified tables as pandas data frames (extra `pandas`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provreg.errors import needs_extra
from provreg.loaders import arrow

with needs_extra("pandas"):
    import pandas as pd

if TYPE_CHECKING:
    from provreg.loaders.arrow import Signed
    from provreg.loaders.samples import VerifiedSamples


def frame(samples: VerifiedSamples, signed: Signed = ("label",)) -> pd.DataFrame:
    """The rows of a table version, in the order of the data, with the columns `signed`.

    Columns and errors as `provreg.loaders.arrow.reader`, with Arrow's types (`pandas.ArrowDtype`):
    no value becomes a Python object, and integers with nulls stay integers.
    """
    return arrow.table(samples, signed).to_pandas(types_mapper=pd.ArrowDtype)
