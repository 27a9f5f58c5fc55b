"""What is made before it may be written: a version's part files wait until it is signed."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from itertools import pairwise

from provreg.store.files import storage_error


class Spill:
    """Bytes one after another, on disk and not in memory: 40 bytes for each entry of a version.

    The file has no name and is nobody else's; it goes with this object. Raises StorageError.
    """

    def __init__(self) -> None:
        self._ends = [0]
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this object
        except OSError as error:
            raise self._failed(error) from error
        weakref.finalize(self, self._file.close)

    def append(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        self._ends.append(self._ends[-1] + len(data))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[bytes]:
        for start, end in pairwise(self._ends):
            try:
                yield os.pread(self._file.fileno(), end - start, start)
            except OSError as error:
                raise self._failed(error) from error

    def _failed(self, error: OSError) -> Exception:
        return storage_error("keep part files in", tempfile.gettempdir(), error)
