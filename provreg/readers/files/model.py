"""The files of a model: both digests of each, from one read, in constant memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.core.statements.receipt import MAX_MODEL_FILES, ModelFile, check_model_names
from provreg.errors import FormatError, InputError, NotFoundError
from provreg.executors.api import Progress
from provreg.executors.threads import thread_pool
from provreg.readers.files.safe_open import READ_FILE, Descent, error_for

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# The signature that `model_signing` looks for in a model's folder: it cannot sign itself.
OMS_SIGNATURE = "model.sig"
# Over as many files as a receipt can name it has a third of that at most.
_MAX_SIGNATURE = 1 << 20
_CHUNK = 4 << 20


def hash_model(path: Path, *, progress: Progress | None = None) -> tuple[ModelFile, ...]:
    """The files of the model at `path`, a file or a folder, in the order of the bytes of names.

    In a folder that is all of them, hidden ones too, but for the signature `model.sig` at its top.
    `progress(done, total)` counts bytes. Raises NotFoundError, InputError for an empty folder, for
    more than 500 of them, for one that is a link, pipe or device or changed while it was read, and
    for a `model.sig` that is no signature's file, StorageError; all name the file.
    """
    try:
        start = os.path.realpath(path, strict=True)
        found = os.stat(start)  # noqa: PTH116
    except OSError as error:
        raise NotFoundError(f"there is no model at {quoted(str(path))}: {error.strerror}") from None
    if S_ISDIR(found.st_mode):
        files = sorted(_listed(start), key=lambda file: file[0].encode(errors="surrogateescape"))
    else:
        start, _, name = start.rpartition("/")
        files = [(name, found.st_size)]
    if not files:
        raise InputError(f"the model's folder {quoted(str(path))} has no files")
    try:
        check_model_names([name for name, _ in files])
    except FormatError as error:
        raise InputError(error.message, hint="give that file another name") from None
    return tuple(_hash_all(start or "/", files, progress))


def _listed(root: str) -> Iterator[tuple[str, int]]:
    """(path below `root`, size) of every file."""
    left = MAX_MODEL_FILES
    folders = [""]
    with Descent(root) as descent:
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(descent.folder(folder)) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if path == OMS_SIGNATURE:
                            _check_left_out(entry)
                            continue
                        left -= 1
                        if left < 0:
                            raise _too_many()
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(path)
                        else:
                            yield path, entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                raise error_for(error, folder) from None


def _check_left_out(entry: os.DirEntry[str]) -> None:
    """What is left out by its name is one small file: nothing can be in it or behind it."""
    found = entry.stat(follow_symlinks=False)
    if not S_ISREG(found.st_mode) or found.st_size > _MAX_SIGNATURE:
        raise InputError(
            f"{quoted(OMS_SIGNATURE)} in the model's folder is not a signature: it is no regular"
            f" file of at most {_MAX_SIGNATURE:,} bytes",
            hint="that name is left for the signature of model_signing: give it another name",
            sample=OMS_SIGNATURE,
        )


def _too_many() -> InputError:
    return InputError(
        f"the model's folder has more than {MAX_MODEL_FILES} files and folders",
        hint="choose the folder that holds the model and nothing else",
    )


def _hash_all(
    root: str, files: list[tuple[str, int]], progress: Progress | None
) -> Iterator[ModelFile]:
    done, total = 0, sum(size for _, size in files)

    def advance(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    with Descent(root) as descent, thread_pool(1) as helper:
        for path, _ in files:
            folder, _, name = path.rpartition("/")
            try:
                descriptor = os.open(name, READ_FILE, dir_fd=descent.folder(folder))
                try:
                    yield _hash_one(descriptor, path, helper, advance)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise error_for(error, path) from None


def _hash_one(
    file: int, name: str, helper: ThreadPoolExecutor, advance: Callable[[int], None]
) -> ModelFile:
    before = os.fstat(file)
    if not S_ISREG(before.st_mode):
        raise InputError(f"{quoted(name)} is not a regular file", sample=name)
    fast, other = blake3(), hashlib.sha256()
    buffer = memoryview(bytearray(min(_CHUNK, before.st_size + 1)))
    size = 0
    # What grows without end is not read to its end.
    while size <= before.st_size and (read := os.readv(file, [buffer])):
        chunk = buffer[:read]
        # Both hash without the interpreter's lock, SHA-256 the longer.
        hashed = helper.submit(fast.update, chunk)
        other.update(chunk)
        hashed.result()
        size += read
        advance(read)
    after = os.fstat(file)
    if size != before.st_size or (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    ):
        raise InputError(
            f"{quoted(name)} changed while it was read",
            hint="let nothing write to the model any more, then try again",
            sample=name,
        )
    return ModelFile(name, size, f"sha256:{other.hexdigest()}", f"blake3:{fast.hexdigest()}")
