"""The keys of a registry, the same in a folder and in an object store.

A key is segments joined by `/`, every one of them checked (docs/format/registry.md, "Keys"). Where
digests stand in keys they have a hyphen: names on exFAT, SMB and Windows cannot have a colon.
"""

from __future__ import annotations

import re

from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError

REGISTRY_KEY = "provreg.json"
OBJECTS = "objects"
DATASETS = "datasets"
RUNS = "runs"
REVOCATIONS = "revocations"
LATEST = "latest"
ACCEPTANCES = "acceptances"
STAGING = "tmp"
MAX_NUMBER = 99_999_999
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,132}")
_MAX_SEGMENTS = 8
_DIGEST_SEGMENT = re.compile(r"(blake3|sha256)-([0-9a-f]{64})")
_RECORD_NAME = re.compile(r"([0-9]{8})\.json")
_PROPOSAL_NAME = re.compile(r"([0-9]{8})-sha256-([0-9a-f]{64})\.json")


def split_key(key: str) -> list[str]:
    """The segments of `key`. Raises FormatError for what no registry uses as a key.

    Lower case only, so that keys stay apart where file names ignore case; a segment cannot be
    empty, hidden, `.` or `..`.
    """
    segments = key.split("/")
    sound = len(segments) <= _MAX_SEGMENTS and all(map(_SEGMENT.fullmatch, segments))
    if not sound or ".." in key:
        raise FormatError(f"{quoted(key)} is not a key of a registry")
    return segments


def digest_segment(digest: str) -> str:
    """A written digest as a segment of a key. Raises FormatError unless it is one."""
    algorithm, raw = parse_digest(digest)
    return f"{algorithm}-{raw.hex()}"


def digest_of_key(key: str) -> str:
    """The written digest in the last segment of `key`. Raises FormatError without one."""
    match = _DIGEST_SEGMENT.fullmatch(key.rpartition("/")[2])
    if match is None:
        raise FormatError(f"{quoted(key)} does not end in a digest")
    return f"{match[1]}:{match[2]}"


def object_key(digest: str) -> str:
    """Where the object of a written digest lies. Raises FormatError unless it is one."""
    segment = digest_segment(digest)
    return f"{OBJECTS}/{segment.partition('-')[2][:2]}/{segment}"


def numbered_key(folder: str, number: int) -> str:
    """The key of a number's file in `folder`. Raises UsageError for a number out of range."""
    if not 1 <= number <= MAX_NUMBER:
        raise UsageError(f"{number} is not a number of a registry (1 to {MAX_NUMBER})")
    return f"{folder}/{number:08d}.json"


def number_of_key(key: str) -> int | None:
    """The number whose file has this key; None for another key."""
    match = _RECORD_NAME.fullmatch(key.rpartition("/")[2])
    return int(match[1]) or None if match else None


def proposals_prefix(dataset: str) -> str:
    """The folder of a dataset's proposals. Raises UsageError for a bad name."""
    return f"{DATASETS}/{check_dataset_name(dataset)}/proposals"


def proposal_key(dataset: str, number: int, head: str) -> str:
    """The key that says that the head with this written SHA-256 is proposed as version `number`."""
    segment = digest_segment(check_head_digest(head))
    return f"{proposals_prefix(dataset)}/{number:08d}-{segment}.json"


def proposal_of_key(key: str) -> tuple[int, str] | None:
    """(number, head) that the proposal with this key is of; None where it is the key of none."""
    match = _PROPOSAL_NAME.fullmatch(key.rpartition("/")[2])
    return (int(match[1]), f"sha256:{match[2]}") if match and int(match[1]) else None


def check_head_digest(head: str) -> str:
    """`head`, the written SHA-256 of a head. Raises FormatError unless it is one."""
    if parse_digest(head)[0] != "sha256":
        raise FormatError(f"{quoted(head)} is not the sha256 of a head")
    return head
