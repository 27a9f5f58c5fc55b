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
    """The rows of a table version, in the order of the data, and what is `signed` of each.

    Columns and errors are as `provreg.loaders.arrow.reader` has them, held by Arrow's types
    (`pandas.ArrowDtype`): nothing is copied into Python objects, and nulls and integers stay what
    they are.
    """
    return arrow.table(samples, signed).to_pandas(types_mapper=pd.ArrowDtype)
