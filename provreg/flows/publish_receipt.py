"""Publishing a receipt: the bitmaps, then the one bundle that names them.

Whoever is killed in between leaves objects that nobody names; a receipt is there whole or not at
all. Until it is, it is kept unsigned in the user's state: training is not done again because an
identity provider was down.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from provreg.core.bitmap import pack
from provreg.core.digest import blake3_digest
from provreg.core.head import Head
from provreg.core.receipt import Receipt, TrainedOn, parse_receipt
from provreg.core.text import quoted
from provreg.core.unsigned import UnsignedReceipt
from provreg.errors import ProvregError
from provreg.flows.workspace import Workspace
from provreg.store.unsigned import drop, keep
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


def unsigned_receipt(receipt: Receipt, counts: Counts) -> UnsignedReceipt:
    """`receipt` with its bitmaps; `counts` are by head digest.

    Raises FormatError for what no receipt may hold.
    """
    return UnsignedReceipt.of(receipt, lambda head: pack(counts[head] > 0))


def publish_receipt(workspace: Workspace, unsigned: UnsignedReceipt, signer: Signer) -> str:
    """Signs and stores a receipt; its written SHA-256.

    Raises as the signer, StorageError, and FormatError for a receipt that names no model.
    """
    parse_receipt(unsigned.statement)
    # Signing can fail or be refused by a person: nothing is written before it succeeded.
    bundle = signer.sign(unsigned.statement)
    workspace.objects.put_all(unsigned.bitmaps)
    return workspace.runs.add(unsigned.statement, bundle)


@contextmanager
def kept_until_published(
    workspace: Workspace, unsigned: UnsignedReceipt, *, model_to_come: bool = False
) -> Iterator[None]:
    """A block that signs and publishes `unsigned`; if it fails, the receipt is kept.

    Where it is, and how it is signed later, is told with what the block raised: in the error itself
    if it is ours, else in a note. `model_to_come`: it names no model, which then has to be said.
    """
    try:
        path = keep(unsigned)
    except ProvregError:
        # It is only for the case of failure, and must not cause one.
        yield
        return
    words = ["provreg", "sign", f"receipt:{path}", "--registry", workspace.store.address]
    more = "--model PATH --sign …" if model_to_come else "--sign …"
    later = f"sign it when that is mended: {shlex.join(words)} {more}"
    try:
        yield
    except ProvregError as error:
        error.tell_more(f"the receipt is kept, unsigned, in {quoted(str(path))}", later)
        raise
    except BaseException as error:
        error.add_note(f"the receipt is kept: {later}")
        raise
    drop(path)
