"""`provreg blame`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.options import (
    JsonOption,
    KeyOption,
    PolicyOption,
    ReferenceArgument,
    RegistryOption,
    VerboseOption,
)
from provreg.cli.output import Output
from provreg.cli.render import attribution_to_json, signed_by, when
from provreg.cli.session import open_registry, say_damage

if TYPE_CHECKING:
    from provreg.flows.blame import Attribution, SampleBlame

_LISTED = 50


def blame(
    reference: ReferenceArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Samples; all without any.")
    ] = None,
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say since when samples have their bytes and their label, from whom and signed by whom.

    More than 50 samples are grouped; -v lists each.
    """
    output = Output(json=json, verbose=verbose)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    with output.progress("indexing") as progress:
        say_damage(opened.sync(progress=progress), output)
    blamed = opened.blame(reference, ids or ())
    if json:
        samples = [_sample_to_json(sample) for sample in blamed]
        output.document({"ref": reference, "samples": samples})
    elif blamed.entries.num_rows <= _LISTED or verbose:
        output.table(
            ("id", "bytes since", "source", "label since", "labeler", "signed by", "earlier"),
            [(sample.id, *_row(sample), _earlier(sample)) for sample in blamed],
        )
    else:
        groups = Counter(_row(sample) for sample in blamed)
        output.table(
            ("samples", "bytes since", "source", "label since", "labeler", "signed by"),
            [(count, *row) for row, count in groups.most_common()],
        )


def _row(sample: SampleBlame) -> tuple[object, ...]:
    content, label = sample.content, sample.label
    signers = dict.fromkeys(signed_by(one.version) for one in (content, label))
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
    if attribution.said_again is not None:
        rewritten = f", origin rewritten in @{attribution.said_again.head.version}"
    return f"@{head.version} {when(head.created)}{rewritten}"


def _word(attribution: Attribution) -> str:
    if attribution.attested:
        return "attested"
    return f"asserted by {signed_by(attribution.version)}"


def _earlier(sample: SampleBlame) -> str | None:
    lives = [
        f"{life.id}: @{life.since.head.version} until removed in @{life.until.head.version}"
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
