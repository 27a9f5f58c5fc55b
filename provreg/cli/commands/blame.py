"""`provreg blame`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
    ReferenceArgument,
)
from provreg.cli.ui.render import attribution_to_json, signed_by
from provreg.cli.ui.session import open_registry, warn_damaged, warn_untrusted

if TYPE_CHECKING:
    from provreg.flows.history.blame import Attribution, SampleBlame

EXAMPLES = (
    "provreg blame cifar10",
    "provreg blame cifar10@3 train/cat/1042.jpg train/dog/7.jpg",
    "provreg blame cifar10 -v --json",
)

_LISTED = 50


def blame(
    reference: ReferenceArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Ids of samples. Default: all.")
    ] = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Show who added and labeled each sample, and since when.

    More than 50 samples are grouped; -v lists each.
    """
    output = printing.output()
    opened = open_registry(opening, output)
    with output.progress("indexing") as progress:
        blamed = opened.blame(reference, ids or (), progress=progress)
    warn_damaged(opened.damaged, output)
    warn_untrusted(blamed.line, output)
    if output.json:
        samples = (_sample_to_json(sample) for sample in blamed)
        output.stream({"ref": reference}, "samples", samples)
    elif blamed.entries.num_rows <= _LISTED or output.verbose:
        output.table(
            ("id", "content since", "source", "label since", "labeler", "signed by", "earlier"),
            [(sample.id, *_row(sample), _earlier(sample)) for sample in blamed],
        )
    else:
        groups = Counter(_row(sample) for sample in blamed)
        output.table(
            ("samples", "content since", "source", "label since", "labeler", "signed by"),
            [(count, *row) for row, count in groups.most_common()],
        )


def _row(sample: SampleBlame) -> tuple[object, ...]:
    content, label = sample.content, sample.label
    signers = dict.fromkeys(signed_by(attribution.version) for attribution in (content, label))
    return (
        _since(content),
        content.source,
        _since(label),
        None if label.labeler is None else f"{label.labeler} ({_word(label)})",
        ", ".join(signers),
    )


def _since(attribution: Attribution) -> str:
    head = attribution.version.head
    rewritten = ""
    if attribution.restated_in is not None:
        rewritten = f", origin rewritten in @{attribution.restated_in.head.version}"
    return f"@{head.version} {head.created.date()}{rewritten}"


def _word(attribution: Attribution) -> str:
    """Who says so: the labeler's own signature, or only the signer."""
    if attribution.attested:
        return "attested"
    trusted = attribution.version.trusted_because is not None
    return f"asserted by {signed_by(attribution.version)}" if trusted else "asserted, UNTRUSTED"


def _earlier(sample: SampleBlame) -> str | None:
    lives = [
        f"{life.id}: @{life.since.head.version} to removal in @{life.until.head.version}"
        for life in sample.earlier
    ]
    return "; ".join(lives) or None


def _sample_to_json(sample: SampleBlame) -> dict[str, Any]:
    found: dict[str, Any] = {"id": sample.id}
    for what, attribution in (("content", sample.content), ("label", sample.label)):
        fields = attribution_to_json(attribution)
        found[what] = {"since": fields.pop("version")} | fields
    if sample.earlier:
        found["earlier"] = [
            {"id": life.id, "since": life.since.head.version, "until": life.until.head.version}
            for life in sample.earlier
        ]
    return found
