"""`provreg ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import proposal_to_json, signed_by, version_to_json, when
from provreg.cli.ui.session import open_registry, print_warnings, warn_damaged, warn_untrusted
from provreg.core.encoding.text import counted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.registry import Registry

EXAMPLES = (
    "provreg ls",
    "provreg ls --versions --policy without-mallory.toml",
    "provreg ls --proposals --policy policy.toml",
    "provreg ls --proposals --tidy",
    "provreg ls --registry /srv/registry --policy policy.toml --json",
)

# Of very many datasets of proposals the first are named.
_SHOWN = 5


def ls(
    versions: Annotated[
        bool, typer.Option("--versions", help="List all versions, not only the newest.")
    ] = False,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="List proposals that wait for signatures instead.")
    ] = False,
    tidy: Annotated[
        bool,
        typer.Option("--tidy", help="With --proposals: delete those that are stale."),
    ] = False,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """List the datasets, each with its newest version.

    With --versions, list all versions of all datasets: under another policy it shows which lose
    their trust.

    With --proposals, list what waits for signatures: a proposal becomes a version when enough
    principals have signed it (`provreg sign`). A proposal is stale if its version number has been
    used since, so that nobody can complete it. --tidy deletes stale proposals, whoever made them.
    """
    if tidy and not proposals:
        raise UsageError("--tidy requires --proposals", hint="run `provreg ls --proposals --tidy`")
    if versions and proposals:
        raise UsageError("--versions and --proposals exclude each other")
    output = printing.output()
    opened = open_registry(opening, output)
    if proposals:
        for reference in opened.tidy_proposals() if tidy else ():
            output.note(f"deleted {reference}: its version number is in use")
        _list_proposals(opened, output)
        return
    with output.progress("indexing") as progress:
        listed = opened.ls(versions=versions, progress=progress)
    warn_damaged(opened.damaged, output)
    warn_untrusted(listed, output)
    output.document(
        {"versions" if versions else "datasets": [version_to_json(version) for version in listed]}
    )
    waits = opened.only_proposed()
    if waits:
        output.note(
            f"only proposals, no version yet: {', '.join(waits[:_SHOWN])}"
            + (f" and {len(waits) - _SHOWN:,} more" if len(waits) > _SHOWN else "")
            + "; `provreg ls --proposals` shows what each lacks"
        )
    if not listed:
        if not waits:
            output.note("no datasets yet; `provreg ingest PATH --name NAME …` creates the first")
        return
    output.table(
        ("dataset", "version" if versions else "newest", "samples", "created", "signed by"),
        [
            (
                version.head.dataset,
                version.head.version,
                version.head.samples,
                when(version.head.created),
                signed_by(version),
            )
            for version in listed
        ],
        whole=("dataset", "created"),
    )


def _list_proposals(opened: Registry, output: Output) -> None:
    """Proposals without a signature of a principal are only counted: anybody can make them."""
    found = opened.proposals()
    print_warnings(opened, output)
    output.document({"proposals": [proposal_to_json(proposal) for proposal in found]})
    known = [proposal for proposal in found if proposal.state != "unknown"]
    for proposal in known:
        output.facts(
            {
                "proposal": proposal.reference,
                "of": f"{proposal.dataset}@{proposal.waiting.number}",
                "samples": None if proposal.head is None else proposal.head.samples,
                "created": None if proposal.head is None else when(proposal.head.created),
                "message": (proposal.head.message or None) if proposal.head else None,
                "signed by": ", ".join(proposal.waiting.by),
                "state": proposal.state,
                "because": proposal.because,
                "needed": proposal.needed or None,
            }
        )
        output.line()
    unknown = [proposal for proposal in found if proposal.state == "unknown"]
    for proposal in unknown if output.verbose else ():
        output.line(f"{proposal.reference}: {proposal.because}")
    if unknown:
        output.note(
            f"{counted(len(unknown), 'proposal')} not signed by any principal of the policy"
        )
    if not known:
        output.note("no proposal waits for signatures")
