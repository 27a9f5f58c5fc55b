"""Additional strict checks of the log entry of a keyless bundle.

sigstore-python verifies the proof, the checkpoint's signature and the promise, but ignores some
fields. Here each of these must agree with a signed field, so that unsigned fields cannot contradict
the signatures.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from provreg.core.encoding.strict_fields import Fields
from provreg.errors import FormatError, NotTrustedError

_DECIMAL = r"0|[1-9][0-9]{0,18}"
_MAX_PATH = 64
_MAX_CHECKPOINT = 16 * 1024
# (kind, version) of the entries for in-toto statements, of Rekor 1 and 2.
_V1, _V2 = ("dsse", "0.0.1"), ("hashedrekord", "0.0.2")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """The place of a bundle in the log. `promised`: the log signed its time."""

    kind: tuple[str, str]
    log_id: bytes
    index: int
    promised: bool
    proof_index: int
    tree_size: int
    checkpoint_size: int


def check_log_entry(document: Fields, known_logs: Collection[bytes]) -> LogEntry:
    """The log entry of a bundle's `verificationMaterial`, checked for consistency.

    `known_logs` are the log ids of the trusted root. Raises NotTrustedError (step 1 for its form,
    3 for its values). Source: sigstore protobuf-specs, sigstore_rekor.proto, v1.
    """
    try:
        entries = document.items("tlogEntries", _read_entry, limit=1)
    except FormatError as error:
        raise NotTrustedError(error.message, step=1, hint=error.hint) from None
    if not entries:
        raise NotTrustedError("the keyless bundle has no log entry", step=3)
    entry = entries[0]
    if entry.log_id not in known_logs:
        raise NotTrustedError("the bundle's log is not in the trusted root", step=3)
    if entry.kind not in {_V1, _V2}:
        raise NotTrustedError("the bundle's log entry has an unsupported type", step=3)
    if entry.tree_size != entry.checkpoint_size:
        raise NotTrustedError(
            "the inclusion proof and the checkpoint have different tree sizes", step=3
        )
    if entry.kind == _V2 and (entry.promised or entry.index != entry.proof_index):
        raise NotTrustedError("the log entry contradicts its inclusion proof", step=3)
    return entry


def _read_entry(fields: Fields) -> LogEntry:
    kind_version = fields.object("kindVersion")
    kind = kind_version.text("kind", limit=64), kind_version.text("version", limit=64)
    kind_version.done()
    log = fields.object("logId")
    log_id = log.binary("keyId")
    log.done()
    index = _number(fields, "logIndex")
    # Rekor 2 leaves the time out, or writes zero.
    timed = fields.has("integratedTime") and _number(fields, "integratedTime") != 0
    promised = _read_promise(fields)
    if timed != promised:
        raise fields.wrong("inclusionPromise", "and integratedTime are not both present")
    fields.binary("canonicalizedBody")
    proof = fields.object("inclusionProof")
    entry = LogEntry(
        kind=kind,
        log_id=log_id,
        index=index,
        promised=promised,
        proof_index=_number(proof, "logIndex"),
        tree_size=_number(proof, "treeSize"),
        checkpoint_size=_read_checkpoint(proof),
    )
    proof.binary("rootHash")
    if proof.has("hashes"):
        proof.binaries("hashes", limit=_MAX_PATH)
    proof.done()
    return entry


def _read_promise(fields: Fields) -> bool:
    if not fields.has("inclusionPromise"):
        return False
    promise = fields.object("inclusionPromise")
    promise.binary("signedEntryTimestamp")
    promise.done()
    return True


def _read_checkpoint(proof: Fields) -> int:
    """The tree size in the signed checkpoint. Source: C2SP tlog-checkpoint."""
    checkpoint = proof.object("checkpoint")
    lines = checkpoint.text("envelope", limit=_MAX_CHECKPOINT).split("\n")
    checkpoint.done()
    if len(lines) < 3 or re.fullmatch(_DECIMAL, lines[1]) is None:
        raise proof.wrong("checkpoint", "has no tree size")
    return int(lines[1])


def _number(fields: Fields, name: str) -> int:
    """A 64-bit integer, which is text in the JSON of protobuf."""
    return int(fields.text(name, pattern=_DECIMAL))
