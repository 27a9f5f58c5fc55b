"""Step 12: the data are read and hashed; what compares them is `flows.compare_data`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.flows.verify import Step
from provreg.flows.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from provreg.core.head import Head
    from provreg.flows.reading import Progress


def verify_data(
    workspace: Workspace,
    head: Head,
    entries_of: Callable[[], pa.Table],
    paths: Sequence[Path],
    *,
    on_step: Callable[[Step], None],
    progress: Progress | None = None,
) -> None:
    """Checks the data at `paths` against a head and its entries, which passed steps 10 and 11.

    What the rows of tables hash to is left for loaders, which need not hash them one by one as long
    as the files are the same. Raises NotTrustedError (step 12) with a finding for every sample that
    is not as signed, and what reading raises where the data cannot be read at all.
    """
    # Late: most verifications are of no data, and need no Arrow.
    from provreg.flows.compare_data import check_read
    from provreg.flows.reading import read_again

    entries = entries_of()
    sha256 = entries["content_sha256"].null_count < entries.num_rows
    read = read_again(
        paths,
        head.reading,
        sha256=sha256,
        leave_out=workspace.never_data,
        remember=workspace.rows,
        progress=progress,
    )
    check_read(head, entries, read, on_step=on_step)
