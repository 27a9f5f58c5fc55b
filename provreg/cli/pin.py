"""`provreg pin`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.options import (
    JsonOption,
    KeyOption,
    PolicyOption,
    ReferenceArgument,
    RegistryOption,
)
from provreg.cli.output import Output
from provreg.cli.session import open_registry


def pin(
    reference: ReferenceArgument,
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    lock: Annotated[Path, typer.Option(help="The lock file to write.")] = Path("provreg.lock"),
    json: JsonOption = False,
) -> None:
    """Verify a version and write it into provreg.lock, to be committed beside the code."""
    from provreg.store.pins import read_lock, write_lock
    from provreg.store.state import Pin

    output = Output(json=json)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    version = opened.verify(reference)
    pins = read_lock(lock) if lock.exists() else {}
    head = version.head
    write_lock(lock, {**pins, head.dataset: Pin(head.uid, head.version, version.digest)})
    output.document(
        {"lock": str(lock), "dataset": head.dataset, "version": head.version,
         "head": version.digest}
    )  # fmt: skip
    output.line(f"{lock}: {version.reference} is pinned ({version.digest})")
    output.note("commit it: from now on nothing older, and no other history, is accepted here")
