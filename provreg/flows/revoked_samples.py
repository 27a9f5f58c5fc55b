"""Which samples of a verified version are revoked."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from provreg.core.entry_columns import Mask
from provreg.core.head import Head
from provreg.core.revocation import RevokedSamples
from provreg.core.revoked_rows import revoked_mask
from provreg.flows.entries import load_entries
from provreg.flows.integrity import history
from provreg.flows.verify import VerifiedVersion
from provreg.flows.workspace import Workspace


def revoked_samples(workspace: Workspace, version: VerifiedVersion) -> Mask:
    """One bool for each of `version.entries`, in their order: whether the sample is revoked.

    What a source or labeler did before a certain version is looked up in the version before that
    one, on the same line. Raises NotTrustedError where the line or that version is damaged.
    """
    found = [one.revocation.samples for one in version.chain.of(version.head)]
    samples = [one for one in found if one is not None]
    return rows_revoked(workspace, version.digest, version.head, version.entries, samples)


def rows_revoked(
    workspace: Workspace,
    digest: str,
    head: Head,
    entries: pa.Table,
    samples: Sequence[RevokedSamples],
) -> Mask:
    """As `revoked_samples`, for the head `digest` with `entries`, and what would be revoked."""
    # Newest first: a line is walked back once.
    wanted = sorted({one.since for one in samples if one.since > 1}, reverse=True)
    before: dict[int, pa.Table | None] = dict.fromkeys(wanted)
    for _, ancestor in history(workspace, digest) if wanted else ():
        if not wanted:
            break
        if ancestor.version < wanted[0]:
            found = load_entries(workspace, ancestor)
            while wanted and ancestor.version < wanted[0]:
                before[wanted.pop(0)] = found
    return revoked_mask(entries, samples, head.version, before)
