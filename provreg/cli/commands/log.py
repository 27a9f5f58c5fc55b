"""`provreg log`."""

from __future__ import annotations

from provreg.cli.ui.options import (
    NameArgument,
    Opening,
    Printing,
)
from provreg.cli.ui.render import signed_by, version_to_json, when
from provreg.cli.ui.session import open_registry, warn_damaged, warn_untrusted, warn_waiting
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import counts_in_words
from provreg.errors import NotFoundError

EXAMPLES = (
    "provreg log cifar10",
    "provreg log cifar10 --policy policy.toml --json",
)


def log(
    name: NameArgument,
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
    warn_damaged([version for version in opened.damaged if version.dataset == name], output)
    if not versions:
        if name in opened.only_proposed():
            raise NotFoundError(
                f"{name} has no version yet, only proposals",
                hint="`provreg ls --proposals` shows what each lacks",
            )
        raise NotFoundError(
            f"there is no dataset {quoted(name)}", hint="`provreg ls` lists the datasets"
        )
    warn_untrusted(versions, output)
    warn_waiting(name, opened.waiting(name), output)
    output.document(
        {"dataset": name, "versions": [version_to_json(version) for version in versions]}
    )
    output.table(
        ("version", "created", "samples", "changes", "signed by", "message"),
        [
            (
                version.head.version,
                when(version.head.created),
                version.head.samples,
                counts_in_words(version.head.changes),
                signed_by(version),
                version.head.message or None,
            )
            for version in versions
        ],
        whole=("created",),
    )
