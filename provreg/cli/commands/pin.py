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
from provreg.core.encoding.names import Reference

EXAMPLES = (
    "provreg pin cifar10@3 --policy policy.toml",
    "provreg pin cifar10 --lock train/provreg.lock",
    "provreg pin cifar10@3 --exact",
    "provreg pin cifar10 --floor",
)


def pin(
    reference: ReferenceArgument,
    lock: Annotated[Path, typer.Option(metavar="FILE", help="Lock file to write.")] = Path(
        "provreg.lock"
    ),
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--floor",
            help="Stay on exactly this version, or allow newer ones. Default: as before, else"
            " --floor.",
            show_default=False,
        ),
    ] = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Verify a version and pin it in provreg.lock.

    Commit the lock file with your code: verification and training there refuse older versions and
    other histories. A pin is a floor: a name without a version still means the newest one. With
    --exact it means the pinned one, until the pin moves. The pinned version stays trusted when the
    policy's dates end a key that signed it, and the policy's limits compare new versions with it.
    """
    output = printing.output()
    opened = open_registry(opening, output)
    pin = opened.pin(reference, lock, exact=exact)
    name, number = Reference.parse(reference).dataset, pin.version
    pinned = {"dataset": name, "version": number, "head": pin.head, "exact": pin.exact}
    output.document({"lock": str(lock), **pinned})
    kind = "exactly" if pin.exact else "as the oldest allowed version"
    output.line(f"{lock}: {name}@{number} is pinned {kind} ({pin.head})")
    meaning = f"{name} means {name}@{number} here until the pin moves"
    if not pin.exact:
        meaning = f"{name} still means its newest version; older ones, other histories are refused"
    output.note(f"commit this file: {meaning}")
