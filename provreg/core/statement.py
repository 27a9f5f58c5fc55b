"""Statements: what a signature is over (docs/format/statement.md).

A statement is an in-toto Statement v1 in canonical JSON. It is a pure function of a few facts of
the head, so that a verifier makes it again and compares bytes instead of interpreting the signed
ones (step 5). Its size does not depend on the number of samples.
"""

from __future__ import annotations

import re

from provreg.core.canonical import canonical
from provreg.core.digest import parse_digest
from provreg.core.document import MAX_INTEGER
from provreg.core.names import DATASET_NAME
from provreg.core.text import quoted
from provreg.errors import FormatError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
VERSION_PREDICATE = "https://provreg/version/v1"

_MAX_VERSION = 99_999_999
_UID = re.compile(r"[0-9a-f]{32}")


def version_statement(
    *, dataset: str, version: int, head: str, uid: str, root: str, samples: int
) -> bytes:
    """The statement that `head` is version `version` of `dataset`: canonical JSON, under 1 KiB.

    `head` is the written SHA-256 of head.json, `root` the written BLAKE3 root of the samples' tree,
    `uid` the dataset's 32 hex digits, `samples` a count. Raises FormatError for a fact no head may
    hold. Source: in-toto attestation framework, Statement v1.
    """
    _check(re.fullmatch(DATASET_NAME, dataset) is not None and ".." not in dataset, dataset, "name")
    _check(1 <= version <= _MAX_VERSION, str(version), "version number")
    _check(_UID.fullmatch(uid) is not None, uid, "uid")
    _check(1 <= samples <= MAX_INTEGER, str(samples), "number of samples")
    _check(parse_digest(root)[0] == "blake3", root, "root")
    algorithm, head_digest = parse_digest(head)
    _check(algorithm == "sha256", head, "head digest")
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "predicate": {
                "dataset": dataset,
                "root": root,
                "samples": samples,
                "uid": uid,
                "version": version,
            },
            "predicateType": VERSION_PREDICATE,
            "subject": [
                {"digest": {"sha256": head_digest.hex()}, "name": f"{dataset}@{version}"},
            ],
        }
    )


def pae(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is computed over. Source: DSSE v1 protocol, "PAE"."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _check(holds: bool, value: str, what: str) -> None:
    if not holds:
        raise FormatError(f"{quoted(value)} is not the {what} of a version")
