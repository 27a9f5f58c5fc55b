"""`provreg log`."""

from __future__ import annotations

from typing import Annotated

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
)
from provreg.cli.ui.render import counts_in_words, signed_by, version_to_json, when
from provreg.cli.ui.session import open_registry, say_damage, say_untrusted, say_waiting
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.text import quoted
from provreg.errors import NotFoundError

EXAMPLES = (
    "provreg log cifar10",
    "provreg log cifar10 --policy policy.toml --json",
)


def log(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset.")],
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """List the versions of a dataset, newest first.

    Each with its changes and signers. Untrusted versions are listed too, and marked.
    """
    output = printing.output()
    check_dataset_name(name)
    opened = open_registry(opening, output)
    with output.progress("indexing") as progress:
        versions = opened.log(name, progress=progress)
    say_damage([one for one in opened.damaged if one.dataset == name], output)
    if not versions:
        if name in opened.only_proposed():
            raise NotFoundError(
                f"{name} has no version yet, only proposals",
                hint="`provreg ls --proposals` shows what each lacks",
            )
        raise NotFoundError(
            f"there is no dataset {quoted(name)}", hint="`provreg ls` lists the datasets"
        )
    say_untrusted(versions, output)
    say_waiting(name, opened.waiting(name), output)
    output.document({"dataset": name, "versions": [version_to_json(one) for one in versions]})
    output.table(
        ("version", "created", "samples", "changes", "signed by", "message"),
        [
            (
                one.head.version,
                when(one.head.created),
                one.head.samples,
                counts_in_words(one.head.changes),
                signed_by(one),
                one.head.message or None,
            )
            for one in versions
        ],
        whole=("created",),
    )
