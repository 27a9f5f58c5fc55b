"""Receipts that wait for a signature, in the user's state: a failed signing loses none."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from provreg.core.encoding.digest import parse_digest, sha256_digest
from provreg.core.encoding.text import printable, quoted
from provreg.core.statements.receipt import (
    MAX_UNSIGNED_BYTES,
    Receipt,
    UnsignedReceipt,
    parse_unsigned,
)
from provreg.errors import NotFoundError, NotTrustedError
from provreg.store.files import storage_error
from provreg.store.private.folders import (
    private_folder,
    read_private,
    replace_private,
    state_folder,
)

_FOLDER = "unsigned"


def add_pending(unsigned: UnsignedReceipt) -> Path:
    """Writes it to a private file named after its statement, which is returned, safely on disk.

    Raises UsageError and StorageError as `private.private_folder`.
    """
    digest = parse_digest(sha256_digest(unsigned.statement))[1].hex()
    path = private_folder(state_folder() / _FOLDER) / f"{digest}.json"
    replace_private(path, unsigned.to_bytes())
    return path


def list_pending() -> list[Path]:
    """The files of all pending receipts. Raises UsageError and StorageError."""
    folder = private_folder(state_folder() / _FOLDER)
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise storage_error("list", str(folder), error) from error


def remove_pending(path: Path) -> None:
    """Removes a receipt that was signed; if it cannot be removed, it can only be signed again."""
    with suppress(OSError):
        path.unlink()


def read_pending(path: Path) -> tuple[UnsignedReceipt, Receipt]:
    """The receipt in a file that `add_pending` wrote, which may have been moved.

    Raises NotTrustedError (step 6) for a file that others could have written: it would be signed in
    your name. Raises NotFoundError, FormatError, StorageError.
    """
    try:
        folder, file = path.parent.stat(), path.lstat()
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no file {quoted(str(path))}",
            hint="`provreg runs` names the receipts that are not signed yet",
        ) from None
    except OSError as error:
        raise storage_error("read", str(path), error) from error
    for name, status in ((path.parent, folder), (path, file)):
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise NotTrustedError(
                f"others could have written {quoted(str(path))}: {quoted(str(name))} is not yours"
                " alone",
                step=6,
                hint="if you are sure that nobody did: chmod go-w " + printable(str(name)),
            )
    data = read_private(path, MAX_UNSIGNED_BYTES)
    return parse_unsigned(data or b"")
