"""Key files: FILE (private, readable by its owner alone) and FILE.pub."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, NotFoundError, StorageError, UsageError
from provreg.trust.keys import (
    KEY_LIMIT,
    PrivateKey,
    PublicKey,
    is_encrypted,
    load_private_pem,
    load_public,
)


def public_path(path: Path) -> Path:
    """Where the public half of the key in `path` is written: FILE.pub."""
    return path.with_name(path.name + ".pub")


def write_key(key: PrivateKey, path: Path, passphrase: str, *, unencrypted: bool = False) -> Path:
    """Writes `path` (mode 0600) and `path`.pub, and returns the latter.

    `unencrypted` must be said for an empty passphrase, and only then. Raises UsageError where that
    does not hold or one of the files exists (it is never overwritten), StorageError where one
    cannot be written; then neither is left behind.
    """
    if unencrypted == bool(passphrase):
        raise UsageError(
            "a passphrase and no encryption contradict each other"
            if unencrypted
            else "the passphrase is empty",
            hint="give a passphrase, or ask for an unencrypted key in so many words",
        )
    private = key.pem(None if unencrypted else _encoded(passphrase))
    with ExitStack() as undo:
        _create(path, private, 0o600, undo)
        _create(public_path(path), key.public.pem.encode(), 0o644, undo)
        undo.pop_all()
    return public_path(path)


def load_private(path: Path, passphrase: Callable[[], str | None]) -> PrivateKey:
    """The private key in `path`; `passphrase` is asked for only where the key is encrypted.

    Raises NotFoundError, StorageError, and UsageError where others may read the file (ssh refuses
    the same), no passphrase is given, it does not fit, or the file holds no key provreg takes.
    """
    pem = _read(path, private=True)
    try:
        if not is_encrypted(pem):
            return load_private_pem(pem, None)
        given = passphrase()
        if not given:
            raise UsageError(
                f"the key {quoted(str(path))} is encrypted and no passphrase was given"
            )
        return load_private_pem(pem, _encoded(given))
    except FormatError as error:
        raise UsageError(f"the key {quoted(str(path))}: {error.message}", hint=error.hint) from None


def load_public_file(path: Path) -> PublicKey:
    """The public key in `path`. Raises NotFoundError, StorageError, and UsageError for no key."""
    try:
        return load_public(_read(path, private=False))
    except FormatError as error:
        raise UsageError(f"the key {quoted(str(path))}: {error.message}", hint=error.hint) from None


def _create(path: Path, data: bytes, mode: int, undo: ExitStack) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        undo.callback(path.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(
            f"{quoted(str(path))} exists", hint="keys are never overwritten: name another file"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot write {quoted(str(path))}: {error.strerror}") from error


def _read(path: Path, *, private: bool) -> bytes:
    """The file's bytes, one more than the limit at most: the parser refuses those."""
    try:
        with open(path, "rb", opener=_opener) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UsageError(f"{quoted(str(path))} is not a file")
            if private and mode & 0o077:
                raise UsageError(
                    f"others may use the private key {quoted(str(path))} (mode {mode & 0o777:o})",
                    hint=f"chmod 600 {quoted(str(path))}",
                )
            return file.read(KEY_LIMIT + 1)
    except IsADirectoryError:
        raise UsageError(f"{quoted(str(path))} is not a file") from None
    except FileNotFoundError:
        raise NotFoundError(f"there is no key {quoted(str(path))}") from None
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error


def _opener(path: str, flags: int) -> int:
    # Without O_NONBLOCK a pipe in the key's place would hang instead of being refused.
    return os.open(path, flags | os.O_NONBLOCK)


def _encoded(passphrase: str) -> bytes:
    # As `openssl` takes it: bytes that the environment held and UTF-8 could not are kept.
    return passphrase.encode("utf-8", "surrogateescape")
