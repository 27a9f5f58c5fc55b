"""Folders whose files are hashed while whoever wants them still loads what it needs.

This needs neither Arrow nor numpy: to load them takes as long as to hash 20,000 small files.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provreg.readers.hashing import hashing
from provreg.readers.listing import list_samples
from provreg.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from provreg.readers.hashing import Hashes
    from provreg.readers.listing import Listing


@record
class HowToHash:
    """Which files to hash, and how: all that decides it, as `read_folder` takes it."""

    paths: tuple[Path, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    sha256: bool
    collect: bool


@record
class BegunFolder:
    """The `listing` of files, and their `hashes`, to be waited for once.

    `hashes` takes a listener for (files, bytes) done so far. `began_ns`: when it was begun, in Unix
    nanoseconds.
    """

    how: HowToHash
    began_ns: int
    listing: Listing
    hashes: Callable[[Callable[[int, int], None] | None], Hashes]


@contextmanager
def begun_folder(
    how: HowToHash, *, leave_out: Iterable[Path], workers: int
) -> Iterator[BegunFolder]:
    """Lists files and begins to hash them in up to `workers` processes; ends with the context.

    Folders of `leave_out` are not entered. Raises what listing does; what hashing raises is raised
    by `hashes`.
    """
    began_ns = time.time_ns()
    listing = list_samples(
        how.paths,
        include=how.include,
        exclude=how.exclude,
        leave_out=leave_out,
        collect=how.collect,
    )
    with hashing(
        listing.runs, workers=workers, with_sha256=how.sha256, collect=how.collect
    ) as hashes:
        yield BegunFolder(how, began_ns, listing, hashes)
