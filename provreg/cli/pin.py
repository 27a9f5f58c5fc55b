"""`provreg pin`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.options import (
    JsonOption,
    KeyOption,
    PolicyOption,
    QuietOption,
    ReferenceArgument,
    RegistryOption,
    VerboseOption,
)
from provreg.cli.output import Output
from provreg.cli.session import open_registry

EXAMPLES = (
    "provreg pin cifar10@3 --policy policy.toml",
    "provreg pin cifar10 --lock train/provreg.lock",
)


def pin(
    reference: ReferenceArgument,
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    lock: Annotated[Path, typer.Option(metavar="FILE", help="The lock file to write.")] = Path(
        "provreg.lock"
    ),
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Verify a version and write it into provreg.lock.

    The lock file is committed beside the code: whoever verifies or trains there accepts nothing
    older and no other history. The pinned version is one that you rely on: it stands when a key
    that signed it ends, and limits are held against it.
    """
    from provreg.store.pins import read_lock, write_lock
    from provreg.store.state import Pin

    output = Output(json=json, quiet=quiet, verbose=verbose)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    version = opened.verify(reference)
    pins = read_lock(lock) if lock.exists() else {}
    head = version.head
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    pinned_as = Pin(head.uid, head.version, version.digest, version.chain.newest, now)
    before = pins.get(head.dataset)
    if before is not None and before.at is not None and pinned_as == replace(before, at=now):
        # Pinned again it is as old as it was: the earlier time says more, and nothing is to commit.
        pinned_as = before
    write_lock(lock, {**pins, head.dataset: pinned_as})
    pinned = {"dataset": head.dataset, "version": head.version, "head": version.digest}
    output.document({"lock": str(lock), **pinned})
    output.line(f"{lock}: {version.reference} is pinned ({version.digest})")
    output.note("commit it: from now on nothing older, and no other history, is accepted here")
