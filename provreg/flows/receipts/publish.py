"""Publishing a receipt: the bitmaps, then the one bundle that names them.

A process killed in between leaves unreferenced objects; a receipt is stored whole or not at
all. Until it is, it is kept unsigned in the user's state: training is not done again because an
identity provider was down.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from provreg.core.encoding.bitmap import pack
from provreg.core.encoding.digest import blake3_digest, sha256_digest
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import Head
from provreg.core.statements.receipt import (
    Receipt,
    SkippedSamples,
    TrainingInput,
    UnsignedReceipt,
    parse_receipt,
)
from provreg.errors import NotTrustedError, ProvregError, UsageError
from provreg.flows.receipts.runs import RunJudge, TrainingRun
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.manifest import read_head
from provreg.readers.files.model import hash_model
from provreg.store.private.pending_receipts import (
    add_pending,
    list_pending,
    read_pending,
    remove_pending,
)
from provreg.trust.signers import Signer

Counts = Mapping[str, npt.NDArray[np.uint8]]


def trained_on(
    head: Head,
    digest: str,
    counts: npt.NDArray[np.uint8],
    skipped: SkippedSamples | None = None,
) -> TrainingInput:
    """What `counts`, how often each sample was handed out in order of ids, say of a version."""
    members = counts > 0
    return TrainingInput(
        dataset=head.dataset,
        version=head.version,
        uid=head.uid,
        head=digest,
        samples=head.samples,
        seen=int(np.count_nonzero(members)),
        handed_out=int(counts.sum(dtype=np.uint64)),
        bitmap=blake3_digest(pack(members)),
        skipped=skipped,
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
    digest = sha256_digest(unsigned.statement)
    workspace.runs.add(digest, bundle)
    return digest


@contextmanager
def pending_until_published(
    workspace: Workspace, unsigned: UnsignedReceipt, *, allow_missing_model: bool = False
) -> Iterator[None]:
    """A block that signs and publishes `unsigned`; if it fails, the receipt is kept.

    Where it is, and how it is signed later, is told with what the block raised: in the error itself
    if it is ours, else in a note. `allow_missing_model`: a receipt that names no model must say so.
    """
    try:
        path = add_pending(unsigned)
    except ProvregError:
        # It is only for the case of failure, and must not cause one.
        yield
        return
    words = ["provreg", "sign", f"receipt:{path}", "--registry", workspace.store.address]
    more = "--model PATH --sign …" if allow_missing_model else "--sign …"
    later = f"sign it when that is mended: {shlex.join(words)} {more}"
    try:
        yield
    except ProvregError as error:
        error.tell_more(f"the receipt is kept, unsigned, in {quoted(str(path))}", later)
        raise
    except BaseException as error:
        error.add_note(f"the receipt is kept: {later}")
        raise
    remove_pending(path)


def pending_receipts(workspace: Workspace) -> list[Path]:
    """This user's pending receipts that name a version of this registry.

    A receipt that cannot be read is of no registry: signing it says why.
    """
    found = []
    for path in list_pending():
        with suppress(ProvregError):
            _, receipt = read_pending(path)
            if any(_has_version(workspace, on) for on in receipt.datasets):
                found.append(path)
    return found


def _has_version(workspace: Workspace, on: TrainingInput) -> bool:
    with suppress(NotTrustedError):
        return read_head(workspace, on.head).uid == on.uid
    return False


def sign_pending(
    workspace: Workspace,
    trust: Trust | None,
    path: Path,
    signer: Signer,
    *,
    model: Path | None = None,
    asked: Callable[[str, Receipt], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingRun:
    """Signs and stores the receipt that was kept at `path`, and removes the file.

    `model` is what came of the run, where that could not be read when the run ended. `asked` is
    told the digest and the receipt, and raises if it should not be signed. Raises UsageError where
    the model is not named once.
    """
    unsigned, receipt = read_pending(path)
    if model is not None or not receipt.model:
        unsigned, receipt = _with_model(unsigned, receipt, model, progress)
    if asked is not None:
        asked(sha256_digest(unsigned.statement), receipt)
    digest = publish_receipt(workspace, unsigned, signer)
    remove_pending(path)
    return RunJudge(workspace, trust).run(digest)


def _with_model(
    unsigned: UnsignedReceipt,
    receipt: Receipt,
    model: Path | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[UnsignedReceipt, Receipt]:
    """A receipt that names no file, with the files of `model` as they are now."""
    if model is None:
        raise UsageError(
            "the receipt names no model: it could not be read when the run ended",
            hint="say where the model is: --model PATH",
        )
    if receipt.model:
        raise UsageError(
            "the receipt names its model's files already", hint="sign it without --model"
        )
    found = replace(receipt, model=hash_model(model, progress=progress))
    bitmaps = {
        dataset.head: bits for dataset, bits in zip(receipt.datasets, unsigned.bitmaps, strict=True)
    }
    return UnsignedReceipt.of(found, bitmaps.__getitem__), found
