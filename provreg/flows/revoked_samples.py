"""Which samples of a verified version are revoked."""

from __future__ import annotations

import pyarrow as pa

from provreg.core.change import Mask
from provreg.core.revocation import RevokedSamples, revoked_mask
from provreg.flows.integrity import history, load_entries
from provreg.flows.verify import VerifiedVersion
from provreg.flows.workspace import Workspace


def revoked_samples(workspace: Workspace, version: VerifiedVersion) -> Mask:
    """One bool for each of `version.entries`, in their order: whether the sample is revoked.

    What a source or labeler did before a certain version is looked up in the version before that
    one, on the same line. Raises NotTrustedError where the line or that version is damaged.
    """
    revoked = [one.revocation.samples for one in version.chain.of(version.head)]
    samples = [one for one in revoked if one is not None]
    return revoked_mask(
        version.entries, samples, version.head.version, _before(workspace, version, samples)
    )


def _before(
    workspace: Workspace, version: VerifiedVersion, revoked: list[RevokedSamples]
) -> dict[int, pa.Table | None]:
    """For each `since` above 1 the entries of the newest version of the line numbered lower."""
    wanted = sorted({one.since for one in revoked if one.since > 1}, reverse=True)
    found: dict[int, pa.Table | None] = dict.fromkeys(wanted)
    if not wanted:
        return found
    for _, head in history(workspace, version.digest):
        entries: pa.Table | None = None
        while wanted and head.version < wanted[0]:
            entries = load_entries(workspace, head) if entries is None else entries
            found[wanted.pop(0)] = entries
        if not wanted:
            break
    return found
