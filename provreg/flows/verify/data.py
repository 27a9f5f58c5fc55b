"""Step 12: the data are read and hashed; what compares them is `flows.verify.compare_data`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.steps import Step

if TYPE_CHECKING:
    import pyarrow as pa

    from provreg.core.manifest.head import Head
    from provreg.flows.reading.samples import Progress


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
    from provreg.flows.reading.samples import read_again
    from provreg.flows.verify.compare_data import check_read

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
