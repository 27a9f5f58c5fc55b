"""A registry's bytes in a folder (docs/format/registry.md, "In a folder")."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from provreg.core.encoding.text import quoted
from provreg.errors import DamagedError, NotFoundError
from provreg.store.files import FOLDER, read_regular, storage_error, write_new
from provreg.store.layout import STAGING, split_key

_ABANDONED = 24 * 3600.0  # seconds after which a staged file has no writer any more


class LocalBackend:
    """The registry folder `folder`, which others may write to: no link in it is followed.

    Every method raises FormatError for a malformed key, DamagedError where something else than the
    registry's own files and folders stands in the way, NotFoundError where the registry itself is
    gone, and StorageError where the disk or its permissions fail.
    """

    def __init__(self, folder: Path) -> None:
        self._root = os.path.realpath(folder)
        self._given = Path(folder).absolute()
        self._durable: set[Sequence[str]] = set()
        self._swept = False

    @property
    def location(self) -> str:
        """The registry's canonical address: the `file:` URI of the folder, links resolved."""
        return Path(self._root).as_uri()

    @property
    def places(self) -> tuple[str, ...]:
        """The canonical address, and the one it was given by: links in that may come to lead
        elsewhere."""
        return tuple(dict.fromkeys((self.location, self._given.as_uri())))

    @property
    def address(self) -> str:
        return self._root

    @property
    def folder(self) -> Path:
        """The registry's folder, links resolved."""
        return Path(self._root)

    def where(self, key: str) -> str:
        """The path of `key`, for messages."""
        return f"{self._root}/{key}"

    def create(self, key: str, data: bytes) -> bool:
        """Stores `data` under `key`, whole and durable; False if the key exists already.

        Of several who create one key at once exactly one is told True.
        """
        *folders, name = split_key(key)
        with self._failures("write", key), self._folder(folders, make=True) as folder:
            created = not _stands(name, folder) and self._link(data, name, folder)
            # Another's file too: what is built upon it must not outlive it in a power cut.
            os.fsync(folder)
            return created

    def read(self, key: str, limit: int) -> bytes:
        """The bytes under `key`, DamagedError if more than `limit`, NotFoundError if none."""
        *folders, name = split_key(key)
        with self._failures("read", key), self._folder(folders) as folder:
            return read_regular(name, limit, dir_fd=folder, shown=self.where(key))

    def exists(self, key: str) -> bool:
        """Whether `key` exists, sound or not."""
        *folders, name = split_key(key)
        with self._failures("look for", key):
            try:
                with self._folder(folders) as folder:
                    return _stands(name, folder)
            except FileNotFoundError:
                return self._absent()

    def list(self, prefix: str) -> Iterator[str]:
        """What lies directly under the folder `prefix`, in no order; nothing if there is none.

        Names are as they stand and may be any text: strangers are the caller's to report.
        """
        folders = split_key(prefix)
        with self._failures("list", prefix):
            try:
                with self._folder(folders) as folder, os.scandir(folder) as entries:
                    for entry in entries:
                        yield f"{prefix}/{entry.name}"
            except FileNotFoundError:
                self._absent()

    def remove(self, key: str) -> None:
        """Removes `key`, if it exists. Nothing may depend on it."""
        *folders, name = split_key(key)
        with self._failures("remove", key):
            try:
                with self._folder(folders) as folder:
                    os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                self._absent()

    def _link(self, data: bytes, name: str, folder: int) -> bool:
        """Writes `data` aside and links it to its name: link(2) never replaces what is there."""
        with self._folder((STAGING,), make=True) as staging:
            self._sweep(staging)
            staged = secrets.token_hex(16)
            try:
                write_new(staged, data, 0o444, dir_fd=staging)
                with suppress(FileExistsError):
                    # Not following: the staged file may have been swapped for a link to a secret.
                    os.link(
                        staged, name, src_dir_fd=staging, dst_dir_fd=folder, follow_symlinks=False
                    )
                    return True
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(staged, dir_fd=staging)
        return False

    def _sweep(self, staging: int) -> None:
        """Once per store, removes what writers that were killed left behind long ago."""
        if self._swept:
            return
        self._swept = True
        newest = time.time() - _ABANDONED
        with os.scandir(staging) as entries:
            for entry in entries:
                # Another user's, or already removed by another sweep: harmless either way.
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < newest:
                        os.unlink(entry.name, dir_fd=staging)

    @contextmanager
    def _folder(self, segments: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """A descriptor of a folder, reached step by step so that no link leads elsewhere."""
        descriptor = os.open(self._root, FOLDER)
        try:
            for depth, name in enumerate(segments, start=1):
                if make:
                    self._make(tuple(segments[:depth]), descriptor)
                below = os.open(name, FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _make(self, segments: Sequence[str], parent: int) -> None:
        if segments in self._durable:
            return
        with suppress(FileExistsError):
            os.mkdir(segments[-1], dir_fd=parent)
        os.fsync(parent)
        self._durable.add(segments)

    def _absent(self) -> bool:
        """False; FileNotFoundError where it is the registry that is gone, an unmounted disk say."""
        Path(self._root).stat()
        return False

    @contextmanager
    def _failures(self, doing: str, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFoundError(f"there is no {quoted(self.where(key))}") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise DamagedError(
                    f"cannot {doing} {quoted(self.where(key))}: a link or file stands where a"
                    " folder of the registry belongs",
                    hint="somebody put it there: look at it, then remove it",
                ) from None
            raise storage_error(doing, self.where(key), error) from error


def _stands(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
