"""What the second reader takes from docs/format/acceptance.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blake3 import blake3
from second_conventions import canonical, digest
from second_manifest import within
from second_reader import BLAKE3, fields, number, text
from second_standing import BLANK, is_time, read_about


def read_acceptance(data: bytes) -> tuple[dict[str, Any], str]:
    """What an acceptance says, and the digest of the finding. Raises Refused."""
    said = read_about(
        data, "acceptance",
        found=lambda v: fields(v, check=text(256, "[!-~]+"), severity=text(7, "warning|error"),
                               group=_is_group, count=number(1), samples=BLAKE3) is None,
        reason=lambda v: text(4096)(v) and not all(within(one, BLANK) for one in v),
        created=is_time,
    )  # fmt: skip
    return said, digest("sha256", canonical(said["found"]))


def _is_group(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and 1 <= len(value) <= 8
        and all(
            isinstance(one, str) and len(name.encode()) + len(one.encode()) <= 4096
            for name, one in value.items()
        )
    )


def samples_digest(leaves: Sequence[bytes]) -> str:
    """The digest of samples, given their leaves ascending by id."""
    hasher = blake3(b"".join(leaves), derive_key_context="provreg 2026-12-01 v1 accepted samples")
    return "blake3:" + hasher.hexdigest()
