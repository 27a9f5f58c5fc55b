"""`provreg log`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.ui.options import (
    NameArgument,
    Opening,
    Printing,
)
from provreg.cli.ui.render import counts_of_names, day, signed_by, version_to_json
from provreg.cli.ui.session import open_registry, warn_damaged, warn_untrusted, warn_waiting
from provreg.core.encoding.names import check_dataset_name
from provreg.core.manifest.head import KINDS, TOP_NAMES
from provreg.errors import NotFoundError

if TYPE_CHECKING:
    from provreg.flows.history.log import LogEntry

EXAMPLES = (
    "provreg log cifar10",
    "provreg log cifar10 -n 5",
    "provreg log cifar10 --policy policy.toml --json",
)


def log(
    name: NameArgument,
    newest: Annotated[
        int | None,
        typer.Option("-n", "--newest", min=1, metavar="N", help="Only the newest N versions."),
    ] = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """List the versions of a dataset, newest first.

    Each with its changes, the sources of new content, the labelers of changed labels, and its
    signers. Untrusted versions are listed too, and marked.
    """
    output = printing.output()
    check_dataset_name(name)
    opened = open_registry(opening, output)
    with output.progress("indexing") as progress:
        versions = opened.log(name, newest=newest, progress=progress)
    warn_damaged([version for version in opened.damaged if version.dataset == name], output)
    if not versions:
        opened.resolve(name)  # says so where there is no such dataset
        raise NotFoundError(
            f"{name} has no intact version", hint="`provreg check` lists what is damaged"
        )
    warn_untrusted(versions, output)
    warn_waiting(name, opened.waiting(name), output)
    entries = opened.log_entries(versions)
    output.document({
        "dataset": name,
        "versions": [
            version_to_json(entry.version)
            | {"origins": {kind: _names_to_json(names) for kind, names in entry.origins.items()}}
            for entry in entries
        ],
    })  # fmt: skip
    output.table(
        ("version", "created", "samples", "changes", "signed by", "message"),
        [
            (
                entry.version.head.version,
                day(entry.version.head.created),
                entry.version.head.samples,
                _changes(entry),
                signed_by(entry.version),
                entry.version.head.message or None,
            )
            for entry in entries
        ],
    )
    if newest == len(entries) and entries[-1].version.head.parent is not None:
        output.note("older versions are not listed: omit -n to list all")


def _changes(entry: LogEntry) -> str:
    """`300 injected from vendor-b, 12 relabeled by ann, 2 removed`."""
    counts = entry.version.head.changes
    words = []
    for kind in KINDS:
        if counts[kind]:
            names = entry.origins.get(kind, {})
            named = {name or "nobody": count for name, count in names.items()}
            by = "by" if kind == "relabeled" else "from"
            # A version can name more than are counted.
            others = len(named) == TOP_NAMES
            origin = f" {by} {counts_of_names(named, others=others)}" if named else ""
            words.append(f"{counts[kind]:,} {kind}{origin}")
    return ", ".join(words) or "no changes"


def _names_to_json(names: Mapping[str | None, int]) -> list[dict[str, object]]:
    return [{"name": name, "samples": samples} for name, samples in names.items()]
