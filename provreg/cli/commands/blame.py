"""`provreg blame`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
    ReferenceArgument,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import attribution_to_json, counts_of_names, day, signed_by
from provreg.cli.ui.session import open_registry, warn_damaged, warn_untrusted

if TYPE_CHECKING:
    from provreg.flows.history.blame import Attribution, SampleBlame, Tally

EXAMPLES = (
    "provreg blame cifar10",
    "provreg blame cifar10 --by labeler",
    "provreg blame cifar10@3 train/cat/1042.jpg train/dog/7.jpg",
    "provreg blame cifar10 -v --json",
)

_LISTED = 50
_MOST_GROUPS = 20
_MOST_NAMES = 5
_MOST_VERSIONS = 8


class By(StrEnum):
    """The values of `--by`."""

    LABELER = "labeler"
    SOURCE = "source"
    VERSION = "version"
    SIGNER = "signer"


def blame(
    reference: ReferenceArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Ids of samples. Default: all.")
    ] = None,
    by: Annotated[By | None, typer.Option(help="Count samples by who answers for them.")] = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Show who added and labeled each sample, and since when.

    More than 50 samples are grouped, and the largest groups are shown; -v lists each sample, and
    --json prints all of them. With --by, samples are counted by the source of their bytes, by the
    labeler of their label, or by the version or the signer of both, with the versions since which
    they are there; -v then shows all groups.
    """
    output = printing.output()
    opened = open_registry(opening, output)
    with output.progress("indexing") as progress:
        blamed = opened.blame(reference, ids or (), progress=progress)
    warn_damaged(opened.damaged, output)
    warn_untrusted(blamed.line, output)
    if by is not None:
        _show_by(by, blamed.by(by.value), reference, output)
    elif output.json:
        samples = (_sample_to_json(sample) for sample in blamed)
        output.stream({"ref": reference}, "samples", samples)
    elif blamed.entries.num_rows <= _LISTED or output.verbose:
        output.table(
            ("id", "content since", "source", "label since", "labeler", "signed by", "earlier"),
            [
                (sample.id, *_row(sample.content, sample.label), _earlier(sample))
                for sample in blamed
            ],
        )
    else:
        groups = blamed.groups()
        _table_of_groups(
            ("samples", "content since", "source", "label since", "labeler", "signed by"),
            [(group.samples, *_row(group.content, group.label)) for group in groups],
            "--by labeler, source, version or signer makes fewer groups; -v lists each sample",
            output,
        )


def _table_of_groups(
    columns: Sequence[str], rows: Sequence[tuple[Any, ...]], advice: str, output: Output
) -> None:
    shown = rows if output.verbose else rows[:_MOST_GROUPS]
    output.table(columns, shown)
    left = rows[len(shown) :]
    if left:
        place = columns.index("samples")
        samples = sum(row[place] for row in left)
        output.line(f"… and {samples:,} samples in {len(left):,} more groups; {advice}")


def _show_by(by: By, tallies: Sequence[Tally], reference: str, output: Output) -> None:
    """Prints how many samples each source, labeler, version or signer answers for."""
    groups = [_tally_to_json(by, tally) for tally in tallies]
    output.document({"ref": reference, "by": by.value, "groups": groups})
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    if by in {By.LABELER, By.SOURCE}:
        columns = ("samples", by.value, "now", "since")
        rows = [
            (tally.samples, tally.name, _new_names(tally), _versions(tally)) for tally in tallies
        ]
    else:
        first = ("version", "created") if by is By.VERSION else ("signed by",)
        last = ("signed by",) if by is By.VERSION else ("since",)
        columns = (*first, "samples", "content", "label", *last)
        rows = [_row_of_version(by, tally) for tally in tallies]
    _table_of_groups(columns, rows, "-v shows all", output)


def _row_of_version(by: By, tally: Tally) -> tuple[object, ...]:
    counts = (tally.samples, tally.content.total(), tally.label.total())
    signers = signed_by(tally.version)
    if by is By.SIGNER:
        return (signers, *counts, _versions(tally))
    return (tally.version.head.version, day(tally.version.head.created), *counts, signers)


def _new_names(tally: Tally) -> str | None:
    """The names that a later version gave: `fay.miller 400`."""
    names = counts_of_names(tally.renamed)
    if len(tally.renamed) == 1 and tally.renamed.total() < tally.samples:
        return f"{names} {tally.renamed.total():,}"
    return names


def _versions(tally: Tally) -> str:
    """The versions, with how many samples are from each where there are several."""
    numbers = tally.since
    counts = {number: max(tally.content[number], tally.label[number]) for number in numbers}
    shown = [f"@{number} {counts[number]:,}" for number in numbers[:_MOST_VERSIONS]]
    left = len(numbers) - len(shown)
    return (
        f"@{numbers[0]}"
        if len(numbers) == 1
        else ", ".join(shown) + (f" and {left:,} later versions" if left else "")
    )


def _tally_to_json(by: By, tally: Tally) -> dict[str, Any]:
    content, label = tally.content, tally.label
    found: dict[str, Any] = {"samples": tally.samples}
    if by in {By.LABELER, By.SOURCE}:
        found |= {by.value: tally.name, "now": dict(tally.renamed)}
    else:
        found |= {"signed_by": list(tally.version.signed_by), "standing": tally.version.standing}
        if by is By.VERSION:
            found["version"] = tally.version.head.version
    since = [
        {"version": number, "content": content[number], "label": label[number]}
        for number in tally.since
    ]
    return found | {"since": since}


def _row(content: Attribution, label: Attribution) -> tuple[object, ...]:
    return (
        _since(content),
        _name(content.source, content),
        _since(label),
        _labeler(label),
        signed_by(content.version, label.version),
    )


def _since(attribution: Attribution) -> str:
    head = attribution.version.head
    rewritten = ""
    if attribution.restated_in is not None:
        rewritten = f", origin rewritten in @{attribution.restated_in.head.version}"
    return f"@{head.version} {head.created.date()}{rewritten}"


def _labeler(label: Attribution) -> str | None:
    """The labeler, or the people who annotated, and who says so; None for nobody."""
    name = _name(label.labeler, label)
    if label.labeler is None:
        name = ", ".join(label.annotators[:_MOST_NAMES])
        left = len(label.annotators) - _MOST_NAMES
        name += f" and {left:,} more" if left > 0 else ""
    return f"{name} ({_word(label)})" if name else None


def _name(name: str | None, attribution: Attribution) -> str | None:
    """A source or labeler, and the name that a later version gave instead."""
    if attribution.restated_in is None or attribution.present == name:
        return name
    return f"{name or 'nobody'}, now {attribution.present or 'nobody'}"


def _word(attribution: Attribution) -> str:
    """Who says so: the labeler's own signature, or only the signer."""
    if attribution.attested:
        return "attested"
    return f"asserted by {', '.join(attribution.version.signed_by) or 'nobody'}"


def _earlier(sample: SampleBlame) -> str | None:
    lives = [
        f"{life.id}: @{life.since.head.version} to removal in @{life.until.head.version}"
        for life in sample.earlier
    ]
    return "; ".join(lives) or None


def _sample_to_json(sample: SampleBlame) -> dict[str, Any]:
    found: dict[str, Any] = {"id": sample.id}
    content = attribution_to_json(sample.content, "source")
    label = attribution_to_json(sample.label, "labeler")
    found["content"] = {"since": content.pop("version")} | content
    found["label"] = {"since": label.pop("version")} | label
    if sample.earlier:
        found["earlier"] = [
            {"id": life.id, "since": life.since.head.version, "until": life.until.head.version}
            for life in sample.earlier
        ]
    return found
