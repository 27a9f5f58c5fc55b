"""Step 12: every sample's bytes against the signed manifest; nothing missing, no stranger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import pair_renames, same_id
from provreg.core.encoding.digest import written_digest
from provreg.core.manifest.columns import (
    RowNumbers,
    format_utc_times,
    split_long_labels,
    take_entries,
    take_rows,
    unequal,
)
from provreg.core.manifest.data_fields import FINDING_KINDS, ORIGIN_FIELDS, DataFields
from provreg.core.manifest.head import Head
from provreg.errors import Finding, NotTrustedError
from provreg.executors.api import no_report
from provreg.flows.reading.samples import data_fields_of, read_again
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.steps import Step
from provreg.readers.api import ReadResult

if TYPE_CHECKING:
    from provreg.executors.api import Progress


def verify_data(
    workspace: Workspace,
    head: Head,
    entries: pa.Table,
    paths: Sequence[Path],
    *,
    on_step: Callable[[Step], None],
    progress: Progress | None = None,
) -> None:
    """Checks the data at `paths` against a head and its entries, which passed steps 10 and 11.

    What the rows of tables hash to is left for loaders, which need not hash them one by one as long
    as the files are the same. Raises NotTrustedError (step 12) with a finding for every sample that
    is not as signed, and what reading raises where the data cannot be read at all.
    """
    sha256 = entries["content_sha256"].null_count < entries.num_rows
    read = read_again(
        paths,
        head.reading,
        sha256=sha256,
        leave_out=workspace.never_data,
        remember=workspace.rows,
        samples=head.samples,
        progress=progress,
    )
    check_read(head, entries, read, on_step=on_step)


# Of so many changed samples the rows are looked up.
_MOST_NAMED = 10_000
_COLUMNS = ("id", "content", "content_sha256", "label", "label_digest", *ORIGIN_FIELDS)


def check_read(
    head: Head, entries: pa.Table, read: ReadResult, *, on_step: Callable[[Step], None] = no_report
) -> None:
    """Checks what was read from the data against a verified version's head and entries.

    Raises NotTrustedError (step 12) with a finding for every sample that is not as signed.
    """
    data_fields = data_fields_of(head.reading, labels=read.labels_known, splits=read.splits_known)
    unread = {finding.id: finding for finding in _with_origins(read.findings, entries)}
    findings = [
        finding
        for finding in compare_with_data(entries, read.table, data_fields)
        if finding.id not in unread
    ]
    # That nothing is left in a folder says each of the samples that are missing there.
    missing = [finding.id for finding in findings if finding.kind == "missing"]
    findings += (
        finding
        for finding in unread.values()
        if not (
            finding.id.endswith("/")
            and any(identity.startswith(finding.id) for identity in missing)
        )
    )
    findings = _with_places(findings, read)
    findings.sort(key=lambda finding: finding.id.encode())
    if not findings:
        on_step(Step(12, True, f"{head.samples:,} samples as signed, no stranger"))
        return
    counts = Counter(finding.kind for finding in findings)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    reference = f"{head.dataset}@{head.version}"
    count = len({finding.id for finding in findings})
    samples = "1 sample is" if count == 1 else f"{count:,} samples are"
    detail = f"{samples} not as {reference} signs: {counted}"
    on_step(Step(12, False, detail))
    raise NotTrustedError(
        detail,
        step=12,
        hint=f"do not train on these data; `provreg diff {reference} PATH` shows whose the signed"
        f" samples are, `provreg blame {reference} ID` who signed them",
        findings=tuple(findings),
    )


def _with_origins(findings: Sequence[Finding], entries: pa.Table) -> Iterator[Finding]:
    """`findings`, those of signed samples with what is signed of them."""
    ids = pa.array([finding.id for finding in findings], pa.string())
    rows = pc.index_in(ids, value_set=entries["id"].combine_chunks()) if len(ids) else ids
    for finding, row in zip(findings, rows.to_pylist(), strict=True):
        if row is None:
            yield finding
            continue
        [signed] = entries.slice(row, 1).select(["content", "source", "labeler"]).to_pylist()
        yield replace(
            finding,
            expected=written_digest(signed["content"]),
            source=signed["source"],
            labeler=signed["labeler"],
        )


def _with_places(findings: list[Finding], read: ReadResult) -> list[Finding]:
    """`findings`, the changed samples with their rows and the files that these name."""
    changed = [finding.id for finding in findings if finding.kind == "changed"][:_MOST_NAMED]
    if read.differences_of is None or not changed:
        return findings
    differences = read.differences_of(changed)
    return [
        replace(finding, detail=differences[finding.id])
        if finding.kind == "changed" and finding.id in differences
        else finding
        for finding in findings
    ]


def compare_with_data(
    entries: pa.Table, samples: pa.Table, data_fields: DataFields
) -> Iterator[Finding]:
    """A finding for every difference between `entries` and `samples` (schema SAMPLE, in order).

    `data_fields` are what the data contain beside the payload: a difference is a finding. A moved
    sample whose label changed with its place is `relabeled`, whatever its label was signed from.
    """
    only_signed, only_present = (
        np.ones(entries.num_rows, np.bool_),
        np.ones(samples.num_rows, np.bool_),
    )
    for old, new in same_id(entries.column("id"), samples.column("id")):
        only_signed[old], only_present[new] = False, False
        for signed, present, different in _rows(entries, samples, old, new, data_fields):
            if signed["content"] != present["content"]:
                yield _finding("changed", signed, written_digest(present["content"]))
            elif _other_sha256(signed, present):
                expected, there = (
                    "sha256:" + row["content_sha256"].hex() for row in (signed, present)
                )
                yield _finding("changed", signed, there, expected=expected)
            else:
                yield from (_mismatch(name, signed, present) for name in different)
    renamed = pair_renames(entries, samples, only_signed, only_present)
    for signed, present, _ in _rows(entries, samples, renamed.old, renamed.new, data_fields):
        if _label(present) is not None and _label(signed) != _label(present):
            yield _mismatch("label", signed, present)
        else:
            yield _finding("moved", signed, found_id=present["id"])
    for signed in take_entries(entries.select(_COLUMNS), renamed.removed).to_pylist():
        yield _finding("missing", signed)
    for present in take_rows(samples.select(["id", "content"]), renamed.added).to_pylist():
        yield Finding("stranger", present["id"], found=written_digest(present["content"]))


def _rows(
    entries: pa.Table, samples: pa.Table, old: RowNumbers, new: RowNumbers, data_fields: DataFields
) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[str]]]:
    """The pairs that differ, as dicts, and the fields of which the data say another than signed;
    equal ones are left out before they become Python."""
    signed, read = take_entries(entries.select(_COLUMNS), old), take_rows(samples, new)
    present = _as_signed(read)
    unlike = data_fields.differences(signed, read)
    differ = np.zeros(len(old), np.bool_)
    for name in ("id", "content", "content_sha256", "label", "label_digest"):
        differ |= unequal(signed[name], present[name])
    for mask in unlike.values():
        differ |= mask
    rows = np.flatnonzero(differ)
    signed = _moments_written(take_rows(signed, rows))
    present = _moments_written(take_rows(present, rows))
    names = ([name for name, mask in unlike.items() if mask[row]] for row in rows.tolist())
    yield from zip(signed.to_pylist(), present.to_pylist(), names, strict=True)


def _as_signed(samples: pa.Table) -> pa.Table:
    """What entries sign of a few samples."""
    label, label_digest = split_long_labels(samples["label"])
    as_they_are = ("id", "content", "content_sha256", *ORIGIN_FIELDS)
    columns = {name: samples[name] for name in as_they_are}
    return pa.table(columns | {"label": label, "label_digest": label_digest})


def _moments_written(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("labeled_at")
    return table.set_column(place, "labeled_at", format_utc_times(table["labeled_at"]))


def _other_sha256(signed: dict[str, Any], present: dict[str, Any]) -> bool:
    """Whether the SHA-256 signed beside the BLAKE3 is of other bytes, which no file can have."""
    both = (signed["content_sha256"], present["content_sha256"])
    return None not in both and both[0] != both[1]


def _label(row: dict[str, Any]) -> str | None:
    """A label to compare and to show: the text, or the written digest of a long one."""
    digest: bytes | None = row["label_digest"]
    label: str | None = row["label"]
    return label if digest is None else written_digest(digest)


def _mismatch(name: str, signed: dict[str, Any], present: dict[str, Any]) -> Finding:
    """The finding that the data say another `name` than is signed."""
    moved = present["id"] if present["id"] != signed["id"] else None
    if name == "label":
        expected, found = _label(signed), _label(present)
    else:
        expected, found = signed[name], present[name]
    return Finding(
        FINDING_KINDS[name],
        signed["id"],
        expected=expected,
        found=found,
        found_id=moved,
        source=signed["source"],
        labeler=signed["labeler"],
        detail=name if FINDING_KINDS[name] == "reattributed" else None,
    )


def _finding(
    kind: Any,
    signed: dict[str, Any],
    found: str | None = None,
    *,
    expected: str | None = None,
    found_id: str | None = None,
) -> Finding:
    return Finding(
        kind,
        signed["id"],
        expected=expected if expected is not None else written_digest(signed["content"]),
        found=found,
        found_id=found_id,
        source=signed["source"],
        labeler=signed["labeler"],
    )
