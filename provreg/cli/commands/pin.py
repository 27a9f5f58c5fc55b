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
    lock: Annotated[Path, typer.Option(metavar="FILE", help="Lock file to write.")] = Path(
        "provreg.lock"
    ),
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Verify a version and pin it in provreg.lock.

    Commit the lock file with your code: verification and training there refuse older versions and
    other histories. The pinned version stays trusted when the policy's dates end a key that signed
    it, and the policy's limits compare new versions with it.
    """
    output = printing.output()
    opened = open_registry(opening, output)
    version = opened.verify(reference)
    opened.pin(version, lock)
    head = version.head
    pinned = {"dataset": head.dataset, "version": head.version, "head": version.digest}
    output.document({"lock": str(lock), **pinned})
    output.line(f"{lock}: {version.reference} is pinned ({version.digest})")
    output.note("commit this file: older versions and other histories are now refused here")
