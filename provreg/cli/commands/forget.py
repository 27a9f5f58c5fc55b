"""`provreg forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    Printing,
    RegistryOption,
    YesOption,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.session import confirm
from provreg.core.encoding.text import counted, quoted
from provreg.errors import NotFoundError

if TYPE_CHECKING:
    from provreg.store.private.state import PlaceMemory

EXAMPLES = (
    "provreg forget cifar10",
    "provreg forget cifar10 --registry /tmp/copy --yes",
    "provreg forget --registry /mnt/old",
)


def forget(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Name of the dataset. Default: all.", show_default=False
        ),
    ] = None,
    registry: RegistryOption = None,
    yes: YesOption = False,
    *,
    printing: Printing,
) -> None:
    """Delete your local record of a dataset's history.

    Use it if a dataset was created anew, if a registry was restored from an old copy, or for a copy
    that was made for a trial. Records from other registries stay. Without any record, the next
    version is trusted on first use. The registry itself is not opened and may be gone.
    """
    from provreg.core.encoding.names import check_dataset_name
    from provreg.registry import Registry

    output = printing.output()
    if name is not None:
        check_dataset_name(name)
    memory = Registry.memory_at(registry, name)
    if not memory.datasets and memory.revocation is None and memory.unreadable is None:
        what = "any dataset" if name is None else name
        raise NotFoundError(
            f"there is no record of {what} in {quoted(memory.places[0])}",
            hint="pass --registry with the folder that the refusal named",
        )
    _show(memory, output)
    confirm("delete this record? The next version is then trusted on first use", yes=yes)
    Registry.forget_memory(memory)
    output.document(_document(memory))
    output.note("the next version is trusted on first use; `provreg pin` fixes one")


def _show(memory: PlaceMemory, output: Output) -> None:
    """Prints the record that is about to be deleted, as far as a person can check it."""
    for place in memory.places:
        output.line(f"seen in {place}")
    if memory.unreadable is not None:
        output.warn(f"the whole record is deleted: {memory.unreadable}")
    for dataset in memory.datasets:
        output.line(
            f"  {dataset.dataset}, uid {dataset.uid}: {_numbers(dataset.versions, 'version')}"
        )
        if dataset.revocations:
            output.line(f"    {_numbers(dataset.revocations, 'revocation')}")
        if dataset.unreadable is not None:
            output.warn(
                f"the record of {dataset.dataset} is deleted for all registries:"
                f" {dataset.unreadable}"
            )
    if memory.revocation is not None:
        output.line(f"  newest revocation: {memory.revocation.number}, {memory.revocation.digest}")


def _numbers(numbers: tuple[int, ...], what: str) -> str:
    if not numbers:
        return f"no {what} seen only there"
    last = ", ".join(map(str, numbers[-5:]))
    return f"{counted(len(numbers), what)} ({'…, ' if len(numbers) > 5 else ''}{last})"


def _document(memory: PlaceMemory) -> dict[str, Any]:
    from dataclasses import asdict

    link = memory.revocation
    return {
        "places": list(memory.places),
        "datasets": [
            {
                "dataset": dataset.dataset,
                "uid": dataset.uid,
                "versions": list(dataset.versions),
                "revocations": list(dataset.revocations),
            }
            for dataset in memory.datasets
        ],
        "revocation": None if link is None else asdict(link),
    }
