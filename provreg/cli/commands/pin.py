"""`provreg pin`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
    ReferenceArgument,
)
from provreg.cli.ui.session import open_registry

EXAMPLES = (
    "provreg pin cifar10@3 --policy policy.toml",
    "provreg pin cifar10 --lock train/provreg.lock",
)


def pin(
    reference: ReferenceArgument,
    lock: Annotated[Path, typer.Option(metavar="FILE", help="The lock file to write.")] = Path(
        "provreg.lock"
    ),
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Verify a version and write it into provreg.lock.

    The lock file is committed beside the code: whoever verifies or trains there accepts nothing
    older and no other history. The pinned version is one that you rely on: it stands when a key
    that signed it ends, and limits are held against it.
    """
    output = printing.output()
    opened = open_registry(opening, output)
    version = opened.verify(reference)
    opened.pin(version, lock)
    head = version.head
    pinned = {"dataset": head.dataset, "version": head.version, "head": version.digest}
    output.document({"lock": str(lock), **pinned})
    output.line(f"{lock}: {version.reference} is pinned ({version.digest})")
    output.note("commit it: from now on nothing older, and no other history, is accepted here")
