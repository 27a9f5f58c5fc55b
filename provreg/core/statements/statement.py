"""Statements: the payload of signatures (docs/format/statement.md).

A statement is an in-toto Statement v1 in canonical JSON. It is a pure function of a few fields of
the head: a verifier generates it and compares bytes instead of interpreting the signed bytes (step
5). Its size does not depend on the number of samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.names import DATASET_NAME
from provreg.core.encoding.strict_fields import MAX_INTEGER, Fields
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError

if TYPE_CHECKING:
    from provreg.core.manifest.head import Head

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
VERSION_PREDICATE = "https://provreg/version/v1"

MAX_STATEMENT_BYTES = 16 << 10
_MAX_VERSION = 99_999_999
_UID = re.compile(r"[0-9a-f]{32}")


def statement_of(head: Head) -> bytes:
    """The statement for the version of `head`."""
    return version_statement(
        dataset=head.dataset,
        version=head.version,
        head=head.digest(),
        uid=head.uid,
        root=head.root,
        samples=head.samples,
    )


def version_statement(
    *, dataset: str, version: int, head: str, uid: str, root: str, samples: int
) -> bytes:
    """The statement that `head` is version `version` of `dataset`: canonical JSON, under 1 KiB.

    `head` is the written SHA-256 of head.json, `root` the written BLAKE3 root of the samples' tree,
    `uid` the dataset's 32 hex digits, `samples` a count. Raises FormatError for invalid values.
    Source: in-toto attestation framework, Statement v1.
    """
    _check(1 <= samples <= MAX_INTEGER, str(samples), "number of samples")
    _check(parse_digest(root)[0] == "blake3", root, "root")
    facts = {"root": root, "samples": samples}
    return statement_about(VERSION_PREDICATE, dataset, version, head, uid, facts)


def statement_about(
    predicate_type: str, dataset: str, version: int, head: str, uid: str, facts: Mapping[str, Any]
) -> bytes:
    """A statement about a version, its only subject; the predicate names it and has `facts`.

    Raises FormatError for an invalid dataset, version, head or uid.
    """
    _check(re.fullmatch(DATASET_NAME, dataset) is not None and ".." not in dataset, dataset, "name")
    _check(1 <= version <= _MAX_VERSION, str(version), "version number")
    _check(_UID.fullmatch(uid) is not None, uid, "uid")
    algorithm, head_digest = parse_digest(head)
    _check(algorithm == "sha256", head, "head digest")
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "predicate": {"dataset": dataset, "uid": uid, "version": version, **facts},
            "predicateType": predicate_type,
            "subject": [
                {"digest": {"sha256": head_digest.hex()}, "name": f"{dataset}@{version}"},
            ],
        }
    )


@dataclass(frozen=True, slots=True)
class About:
    """The version that a statement is about; `facts` are the unread fields of its predicate."""

    dataset: str
    uid: str
    version: int
    head: str
    facts: Fields


def parse_about(data: bytes, predicate_type: str, what: str) -> About:
    """Reads the fields that all kinds of statements of `statement_about` share.

    The caller reads `facts`, generates the statement from the result and compares bytes, so fields
    that are not checked here cannot differ. Raises FormatError that names another type.
    """
    fields = Fields(parse_canonical(data, what=what, limit=MAX_STATEMENT_BYTES), what)
    fields.text("_type", pattern=re.escape(STATEMENT_TYPE))
    kind = fields.text("predicateType", limit=200)
    if kind != predicate_type:
        raise FormatError(f"{what} has type {quoted(kind)}, expected {predicate_type}")
    heads = fields.items("subject", _read_subject, limit=1)
    predicate = fields.object("predicate")
    fields.done()
    if not heads:
        raise FormatError(f"{what} has no subject")
    return About(
        dataset=predicate.text("dataset", pattern=DATASET_NAME),
        uid=predicate.text("uid", pattern=_UID.pattern),
        version=predicate.integer("version", minimum=1, maximum=_MAX_VERSION),
        head=heads[0],
        facts=predicate,
    )


def _read_subject(fields: Fields) -> str:
    fields.text("name", limit=256)
    digest = fields.object("digest")
    head = "sha256:" + digest.text("sha256", pattern="[0-9a-f]{64}")
    digest.done()
    return head


def pae(payload_type: str, payload: bytes) -> bytes:
    """The signed bytes of a DSSE envelope. Source: DSSE v1 protocol, "PAE"."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _check(holds: bool, value: str, what: str) -> None:
    if not holds:
        raise FormatError(f"invalid {what} of a version: {quoted(value)}")
