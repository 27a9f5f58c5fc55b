"""Trusted roots (for verifying) and trust configurations (for signing) of Sigstore instances."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, NotFoundError, StorageError, UsageError

FILE_LIMIT = 1024 * 1024  # bytes
TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
TRUST_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The authorities and logs that certificates are verified against, as a JSON document.

    `document` None means a root in sigstore-python: that of the public-good instance, or of
    staging. `origin` names it in messages.
    """

    document: Mapping[str, Any] | None
    origin: str
    staging: bool = False

    def text(self) -> str:
        """The document as JSON text."""
        if self.document is not None:
            return json.dumps(self.document)
        from sigstore._internal.tuf import DEFAULT_TUF_URL, STAGING_TUF_URL
        from sigstore._utils import read_embedded

        # The public `ClientTrustConfig.production(offline=True)` requires a writable home folder.
        url = STAGING_TUF_URL if self.staging else DEFAULT_TUF_URL
        return read_embedded("trusted_root.json", url).decode("utf-8")


PUBLIC_GOOD = TrustedRoot(None, "the public-good root in sigstore-python")
STAGING = TrustedRoot(None, "the staging root in sigstore-python", staging=True)


def read_trusted_root(path: Path) -> TrustedRoot:
    """The trusted root in `path`, or that of the trust configuration in it.

    Raises NotFoundError, StorageError, and UsageError for a file that is neither.
    """
    document = _read(path)
    kind = document.get("mediaType")
    if kind == TRUST_CONFIG:
        document = document.get("trustedRoot")
        kind = document.get("mediaType") if isinstance(document, Mapping) else None
    if kind != TRUSTED_ROOT:
        raise UsageError(
            f"{quoted(str(path))} is neither a trusted root nor a trust configuration",
            hint=f"a trusted root has the mediaType {TRUSTED_ROOT}",
        )
    return TrustedRoot(document, f"the trusted root {quoted(str(path))}")


def read_trust_config(path: Path) -> str:
    """The trust configuration in `path`, as JSON text."""
    document = _read(path)
    if document.get("mediaType") != TRUST_CONFIG:
        raise UsageError(
            f"{quoted(str(path))} is not a trust configuration",
            hint=f"a trust configuration has the mediaType {TRUST_CONFIG}",
        )
    return json.dumps(document)


def log_ids(document: Mapping[str, Any]) -> frozenset[bytes]:
    """The ids of the transparency logs in a trusted root. Raises ValueError if it has none."""
    logs = document.get("tlogs")
    if not isinstance(logs, list):
        raise ValueError("no transparency logs")  # noqa: TRY004 (one class for a wrong document)
    return frozenset(base64.b64decode(log["logId"]["keyId"], validate=True) for log in logs)


def _read(path: Path) -> Any:
    def opener(name: str, flags: int) -> int:
        # Without O_NONBLOCK a pipe in place of the file would hang instead of being refused.
        return os.open(name, flags | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{quoted(str(path))} is not a file")
            data = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {quoted(str(path))}") from None
    except IsADirectoryError:
        raise UsageError(f"{quoted(str(path))} is not a file") from None
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error
    try:
        document = parse_json(data, what=quoted(str(path)), limit=FILE_LIMIT)
    except FormatError as error:
        raise UsageError(error.message, hint=error.hint) from None
    if not isinstance(document, Mapping):
        raise UsageError(f"{quoted(str(path))} is not a JSON object")
    return document
