"""Statements of OpenSSF Model Signing (OMS): the files of a folder by their SHA-256.

They are for `model_signing verify`; provreg does not read them. The digest of a statement's subject
does not cover the files' names, so provreg never uses it as an identity.
Source: model_signing 1.1, predicate type `signature/v1.0`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.text import quoted
from provreg.core.statements.statement import STATEMENT_TYPE
from provreg.errors import FormatError

OMS_PREDICATE = "https://model_signing/signature/v1.0"

# No empty, `.` or `..` segment and no backslash: every program finds the same file.
_PATH = re.compile(r"(?:(?!\.{0,2}(?:/|\Z))[^/\\\0]+/)*(?!\.{0,2}\Z)[^/\\\0]+")


def oms_statement(folder: str, files: Iterable[tuple[str, bytes]]) -> bytes:
    """The statement that the folder called `folder` holds `files` and no others: canonical JSON.

    `files` are (POSIX path below the folder, the 32 bytes of its SHA-256), in any order. Raises
    FormatError for no file, a duplicate path, and a path that is not below the folder.
    """
    # The order in which model_signing walks and hashes: by the parts of paths.
    ordered = sorted(files, key=lambda file: file[0].split("/"))
    if not ordered:
        raise FormatError("the folder has no files to sign")
    total = hashlib.sha256()
    resources = []
    before = None
    for path, digest in ordered:
        if _PATH.fullmatch(path) is None:
            raise FormatError(f"{quoted(path)} is not a path below its folder", sample=path)
        if path == before:
            raise FormatError(f"duplicate path: {quoted(path)}", sample=path)
        if len(digest) != total.digest_size:
            raise FormatError(f"the SHA-256 of {quoted(path)} does not have 32 bytes", sample=path)
        total.update(digest)
        resources.append({"algorithm": "sha256", "digest": digest.hex(), "name": path})
        before = path
    serialization = {"allow_symlinks": False, "hash_type": "sha256", "method": "files"}
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "predicate": {"resources": resources, "serialization": serialization},
            "predicateType": OMS_PREDICATE,
            "subject": [{"digest": {"sha256": total.hexdigest()}, "name": folder}],
        }
    )
