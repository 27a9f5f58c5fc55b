"""Digests in their written form: `blake3:<64 hex>` or `sha256:<64 hex>`."""

from __future__ import annotations

import hashlib
import re

from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.errors import FormatError

_WRITTEN = re.compile(r"(blake3|sha256):([0-9a-f]{64})")


def blake3_digest(data: bytes | memoryview) -> str:
    """The written BLAKE3-256 digest of `data`."""
    return "blake3:" + blake3(data).hexdigest()


def sha256_digest(data: bytes | memoryview) -> str:
    """The written SHA-256 digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(algorithm: str, data: bytes | memoryview) -> str:
    """The written digest of `data` under `algorithm`, `blake3` or `sha256`."""
    return blake3_digest(data) if algorithm == "blake3" else sha256_digest(data)


def written_digest(content: bytes) -> str:
    """The written form of a raw 32-byte BLAKE3 digest."""
    return "blake3:" + content.hex()


def parse_digest(text: str) -> tuple[str, bytes]:
    """(algorithm, 32 raw bytes) of a written digest. Raises FormatError for any other text."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise FormatError(
            f"{quoted(text)} is not a digest (blake3:… or sha256:… and 64 hex digits)"
        )
    return match[1], bytes.fromhex(match[2])
