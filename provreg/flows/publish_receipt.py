"""Publishing a receipt: the bitmaps, then the one bundle that names them.

Whoever is killed in between leaves objects that nobody names; a receipt is there whole or not at
all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from provreg.core.bitmap import pack
from provreg.core.digest import blake3_digest
from provreg.core.head import Head
from provreg.core.receipt import Receipt, TrainedOn
from provreg.flows.workspace import Workspace
from provreg.trust.signer import Signer

Counts = Mapping[str, npt.NDArray[np.uint8]]


def trained_on(head: Head, digest: str, counts: npt.NDArray[np.uint8]) -> TrainedOn:
    """What `counts`, how often each sample was handed out in order of ids, say of a version."""
    members = counts > 0
    return TrainedOn(
        dataset=head.dataset,
        version=head.version,
        uid=head.uid,
        head=digest,
        samples=head.samples,
        seen=int(np.count_nonzero(members)),
        handed_out=int(counts.sum(dtype=np.uint64)),
        bitmap=blake3_digest(pack(members)),
    )


def publish_receipt(workspace: Workspace, receipt: Receipt, counts: Counts, signer: Signer) -> str:
    """Signs and stores `receipt`; its written SHA-256. `counts` are by head digest.

    Raises FormatError for what no receipt may hold, StorageError, and as `signer.sign`.
    """
    statement = receipt.statement()
    # Signing can fail or be refused by a person: nothing is written before it succeeded.
    bundle = signer.sign(statement)
    bitmaps = [pack(counts[one.head] > 0) for one in receipt.datasets]
    workspace.objects.put_all([("blake3", bitmap) for bitmap in bitmaps])
    return workspace.runs.add(statement, bundle)
