"""`provreg diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from provreg.cli.ui.options import (
    CheckMediaOption,
    Opening,
    Origin,
    Printing,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.reading_options import LabelsFile
from provreg.cli.ui.render import (
    entry_to_json,
    gate_to_json,
    label_of,
    short,
    signed_by,
    signers_to_json,
    when,
)
from provreg.cli.ui.session import (
    open_registry,
    print_gate,
    print_notices,
    warn_damaged,
    warn_untrusted,
)
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import counts_in_words
from provreg.errors import NotFoundError, NotTrustedError, UsageError

if TYPE_CHECKING:
    from provreg.executors.api import Progress
    from provreg.flows.history.diff import Between, Change, Diff, Hand, Relabeling
    from provreg.registry import Registry

EXAMPLES = (
    "provreg diff cifar10@2 cifar10@3",
    "provreg diff cifar10 ./train --exit-code",
    "provreg diff cifar10 ./train --labels labels.csv --check-media",
    "provreg diff web ./night --append --labels crowd.csv --aggregate majority"
    " --labels-delimiter ';' --labels-exclude comment --labels-timezone UTC",
    "provreg diff cifar10 ./night-002 --append --prefix night-002/ --source vendor --gate"
    " --policy policy.toml",
    "provreg diff cifar10 ./fixed --append --replace --labeler ann --gate --policy policy.toml",
    "provreg diff cifar10@1 cifar10@10 --each",
    "provreg diff cifar10@1 cifar10@3 --json-lines",
)

# Nobody reads a longer list: it is grouped, with the first few of each group.
_LISTED = 25
_EXAMPLES = 3


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A version: name, name@3 …")],
    new: Annotated[str, typer.Argument(metavar="NEW|PATH", help="A version, or a path to data.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="As --gate; else exit with 1 if anything changed.")
    ] = False,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Exit with 4 if the policy would refuse the data at PATH."),
    ] = False,
    each: Annotated[
        bool, typer.Option("--each", help="List the changes of each version between the two.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="Print counts, then a change per line.")
    ] = False,
    *,
    check_media: CheckMediaOption = False,
    opening: Opening,
    origin: Origin,
    labels_file: LabelsFile,
    printing: Printing,
) -> None:
    """Show what changed between two versions, and who changed it.

    NEW can be a path to data, to check a pull request: the data are read like OLD and compared as
    if they were ingested. A path contains a slash: write ./data for a folder here. --source,
    --labeler, --labels, --append, --prefix and --replace apply to a PATH and mean the same as for
    `ingest`. If the policy has limits, labels, sources or labelers, the output says whether it
    would accept the data. Notices name what deserves a look, such as new classes and samples
    without a label. Samples that differ are shown with the source and labeler that are signed.

    Untrusted versions are compared too, and marked. If versions lie between OLD and NEW, a sample
    that was injected and relabeled later counts as injected, and a change that was reverted does
    not count. The output then has the counts version by version, and who relabeled what was
    injected; --each lists these changes.
    """
    from provreg.readers.api import ReadOptions

    output = replace(printing, json=printing.json or json_lines).output()
    path = Path(new) if "/" in new or new.startswith(".") else None
    outside = () if path is None else (path,)
    opened = open_registry(opening, output, outside=outside)
    if path is not None and each:
        raise UsageError("--each requires two versions", hint="omit it to compare with a PATH")
    with output.progress("comparing") as progress:
        if path is not None:
            found = opened.diff_path(
                old,
                path,
                labels=labels_file.labels,
                labels_options=labels_file.options(),
                source=origin.source,
                labeler=origin.labeler,
                append=origin.append,
                replace=origin.replace,
                options=ReadOptions(prefix=origin.prefix),
                check_media=check_media,
                progress=progress,
            )
        elif labels_file != LabelsFile() or gate or check_media or origin != Origin():
            raise UsageError(
                "--labels, --source, --labeler, --append, --prefix, --replace, --check-media and"
                " --gate require a PATH",
                hint="omit them: a version has its own labels and origins",
            )
        else:
            found = _between(opened, old, new, progress)
    warn_damaged(opened.damaged, output)
    warn_untrusted(found.versions, output)
    if gate and found.gate is None:
        raise UsageError(
            "no rule restricts this dataset, so --gate cannot fail",
            hint="use a policy whose rule for it has limits, labels, sources or labelers "
            "(docs/reference/policy.md)",
        )
    if found.broken is not None:
        output.warn(f"changes cannot be attributed: {found.broken}")
    diffs = opened.diff_each(old, new) if each else iter([found])
    _show(found, diffs, output, lines=json_lines, each=each)
    refused = found.gate is not None and print_gate(found.gate, output)
    if refused and (gate or exit_code):
        raise typer.Exit(NotTrustedError.exit_code)
    if exit_code and (len(found) or found.relabeling is not None or found.beside):
        raise typer.Exit(1)


def _show(found: Diff, diffs: Iterator[Diff], output: Output, *, lines: bool, each: bool) -> None:
    """Prints how two versions differ, and the changes of `diffs`."""
    counts, moved, between = found.changes.counts(), found.relabeling, found.between
    if output.json:
        head = _diff_to_json(found)
        changes = (_change_to_json(change) for diff in diffs for change in diff)
        if lines:
            output.lines(head, changes)
        else:
            output.stream(head, "changes", changes)
        return
    output.line(f"{found.old_name} -> {found.new_name}: {counts_in_words(counts)}")
    if moved is not None:
        output.line(_labels_in_words(moved))
    for path in found.beside:
        output.line(f"{quoted(path)}, a file beside the data, has changed")
    if between is not None:
        _print_between(found, between, output, each=each)
    for diff in diffs:
        if each:
            words = counts_in_words(diff.changes.counts())
            output.line(f"\n{diff.old_name} -> {diff.new_name}: {words}")
        show_changes(diff, output)
    _print_later_labels(None if each else between, output)
    print_notices(found.notices, output)


def _diff_to_json(found: Diff) -> dict[str, Any]:
    """How two versions differ, without the changes."""
    head: dict[str, Any] = {
        "old": found.old_name,
        "new": found.new_name,
        "counts": found.changes.counts(),
    }
    if found.between is not None:
        head["between"] = _between_to_json(found.between)
    if found.relabeling is not None:
        head["labels"] = _labels_to_json(found.relabeling)
    if found.beside:
        head["beside"] = list(found.beside)
    if found.gate is not None:
        head["policy"] = gate_to_json(found.gate)
    if found.notices:
        head["notices"] = [notice.to_json() for notice in found.notices]
    return head


def _between(opened: Registry, old: str, new: str, progress: Progress | None) -> Diff:
    try:
        return opened.diff(old, new, progress=progress)
    except NotFoundError as error:
        if not Path(new).exists():
            raise
        raise NotFoundError(error.message, hint=f"for data in this folder write ./{new}") from None


def show_changes(found: Diff, output: Output) -> None:
    """A table of the changes; of more than 25 it is grouped, unless all are asked for."""
    if not len(found):
        return
    published = found.is_published
    if len(found) <= _LISTED or output.verbose:
        output.table(
            ("change", "id", "was", "label", "source", "labeler", "by"),
            [
                (
                    " ".join(change.kinds),
                    change.id,
                    change.old["id"] if change.old and change.old["id"] != change.id else None,
                    _labels(change),
                    _origin(change, "source", is_published=published),
                    _origin(change, "labeler", is_published=published),
                    _by(change),
                )
                for change in found
            ],
            whole=("id", "was"),
        )
        return
    groups: dict[tuple[str | None, ...], list[str]] = {}
    totals: Counter[tuple[str | None, ...]] = Counter()
    pairs: Counter[tuple[str | None, ...]] = Counter()
    for change in found:
        origin = (
            _origin(change, "source", is_published=published),
            _origin(change, "labeler", is_published=published),
            _by(change),
        )
        group = (" ".join(change.kinds), *origin)
        totals[group] += 1
        examples = groups.setdefault(group, [])
        if len(examples) < _EXAMPLES:
            examples.append(change.id)
        if "relabeled" in change.kinds:
            pairs[_labels(change), *origin[1:]] += 1
    _count(
        ("samples", "change", "source", "labeler", "by", "first"),
        [(count, *group, ", ".join(groups[group])) for group, count in totals.most_common()],
        output,
    )
    if pairs:
        output.line()
        _count(
            ("relabeled", "label", "labeler", "by"),
            [(count, *pair) for pair, count in pairs.most_common()],
            output,
        )


def _count(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], output: Output) -> None:
    """A table of groups, the largest first; of many the first ones, and what is left."""
    output.table(columns, rows[:_LISTED])
    left = rows[_LISTED:]
    if left:
        output.line(f"… and {sum(row[0] for row in left):,} in {len(left):,} more groups")


def _origin(
    change: Change, name: Literal["source", "labeler"], *, is_published: bool
) -> str | None:
    """The source or labeler of a changed sample: what was signed, and what is now said instead.

    Of bytes or labels that changed, a version names those of the new ones. Data that are not
    published name nobody unless the command did: what was signed is shown.
    """
    from provreg.flows.history.diff import NOT_PUBLISHED

    before: str | None = change.old[name] if change.old else None
    after: str | None = change.new[name] if change.new else None
    if not is_published and after == NOT_PUBLISHED:
        after = None
    if change.new is None or (after is None and not is_published):
        return before
    replaced = is_published and {"source": "modified", "labeler": "relabeled"}[name] in change.kinds
    if change.old is None or before == after or replaced:
        return after
    return f"{before or 'nobody'} -> {after or 'nobody'}"


def _labels(change: Change) -> str | None:
    before = label_of(change.old) if change.old else None
    after = label_of(change.new) if change.new else None
    if before is None or change.new is None or before == after:
        return after or before
    return f"{before} -> {after or '-'}"


def _labels_in_words(found: Relabeling) -> str:
    if found.old_type != found.new_type:
        return f"labels: {found.old_type} -> {found.new_type}"
    moved = [f"{name} {old} -> {'-' if new is None else new}" for name, old, new in found.moved]
    more = f" and {len(moved) - _LISTED:,} more" if len(moved) > _LISTED else ""
    return f"class indices: {', '.join(moved[:_LISTED])}{more}"


def _labels_to_json(found: Relabeling) -> dict[str, Any]:
    moved = [{"class": name, "old": old, "new": new} for name, old, new in found.moved]
    return {"old": found.old_type, "new": found.new_type, "moved": moved}


def _print_between(found: Diff, between: Between, output: Output, *, each: bool) -> None:
    """Prints the changes that OLD and NEW alone do not show."""
    counts = found.changes.counts()
    since = {kind: count for kind, count in between.injected_since.items() if count}
    if since:
        later_changes = ", ".join(f"{count:,} were {kind}" for kind, count in since.items())
        output.line(f"of the injected samples, {later_changes} later; they count only as injected")
    if dict(between.counts) != counts:
        output.line(f"version by version: {counts_in_words(between.counts)}")
    if not each and (since or dict(between.counts) != counts):
        command = f"provreg diff {found.old_name} {found.new_name} --each"
        output.line(f"`{command}` lists the changes of each version")


def _print_later_labels(between: Between | None, output: Output) -> None:
    """Prints who relabeled what counts as injected."""
    if between is not None and between.relabeled:
        output.line()
        _count(
            ("relabeled later", "label", "labeler", "by"),
            [
                (
                    later.samples,
                    f"{_shown_label(later.old)} -> {_shown_label(later.new)}",
                    later.labeler,
                    f"{signed_by(later.version)} in @{later.version.head.version}",
                )
                for later in between.relabeled
            ],
            output,
        )


def _shown_label(label: str | None) -> str:
    """A label, or enough of the digest of a long one."""
    if label is None:
        return "-"
    return short(label) if label.startswith("blake3:") else label


def _by(change: Change) -> str | None:
    """Who made a change; if several did, who made which part of it."""
    hands = {
        part: f"{signed_by(hand.version)} in @{hand.version.head.version}"
        for part, hand in change.attributions.items()
        if hand.version is not None
    }
    if len(set(hands.values())) < 2:
        return next(iter(hands.values()), None)
    return ", ".join(f"{part}: {hand}" for part, hand in hands.items())


def _between_to_json(found: Between) -> dict[str, Any]:
    relabeled = [
        {
            "samples": later.samples,
            "old": later.old,
            "new": later.new,
            "labeler": later.labeler,
            "version": later.version.head.version,
        }
        for later in found.relabeled
    ]
    return {
        "counts": dict(found.counts),
        "injected_since": dict(found.injected_since),
        "relabeled_since": relabeled,
    }


def _change_to_json(change: Change) -> dict[str, Any]:
    return {
        "kinds": list(change.kinds),
        "id": change.id,
        "old": entry_to_json(change.old) if change.old else None,
        "new": entry_to_json(change.new) if change.new else None,
        "attributions": {part: _hand_to_json(hand) for part, hand in change.attributions.items()},
    }


def _hand_to_json(hand: Hand) -> dict[str, Any]:
    version = hand.version
    found = {
        "version": None if version is None else version.head.version,
        "source": hand.source,
        "labeler": hand.labeler,
        "labeled_at": when(hand.labeled_at),
        "attested": hand.attested,
        "trusted": None if version is None else version.trusted_because is not None,
        "signers": [] if version is None else signers_to_json(version),
        "signed_at": None if version is None else when(version.signed_at),
        "proof": None if version is None else version.proof,
    }
    if hand.restated_in is not None:
        found["origin_rewritten_in"] = hand.restated_in.head.version
    return found
