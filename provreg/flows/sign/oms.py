"""Exporting a verified version to what other software verifies."""

from __future__ import annotations

from provreg.core.manifest.head import samples_are_files
from provreg.core.statements.oms import oms_statement
from provreg.errors import UsageError
from provreg.flows.verify.steps import VerifiedVersion
from provreg.trust.signers import Signer, oms_bundle


def oms(version: VerifiedVersion, signer: Signer) -> bytes:
    """An OpenSSF Model Signing bundle over the files of `version`, for `model_signing verify`.

    It says what the version's signers said, under another signature: of the files' bytes nothing
    is checked here. Raises UsageError for a version that was not read from a folder of files or
    without their SHA-256, and as `trust.signers.oms_bundle`.
    """
    head, entries = version.head, version.entries
    if not samples_are_files(head.reading):
        raise UsageError(
            f"{version.reference} was read as {head.reading['reader']}, and OMS signs files",
            hint="export a version that was made from a folder of files",
        )
    digests = entries["content_sha256"]
    if digests.null_count:
        raise UsageError(
            f"{version.reference} lacks the SHA-256 of {digests.null_count:,} files",
            hint="take them into a next version: provreg ingest PATH --sha256",
        )
    files = zip(entries["id"].to_pylist(), digests.to_pylist(), strict=True)
    return oms_bundle(oms_statement(head.dataset, files), signer)
