"""`provreg show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.models import model_path, show_model
from provreg.cli.ui.options import (
    AlsoOption,
    ModelArgument,
    Opening,
    Printing,
    WhereOption,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import (
    attribution_to_json,
    entry_to_json,
    name_of,
    signed_by,
    version_to_json,
    when,
)
from provreg.cli.ui.runs import run_to_json, runs_table, warn_unresolved
from provreg.cli.ui.session import open_registry, warn_damaged, warn_untrusted
from provreg.core.encoding.text import counted
from provreg.core.manifest.head import counts_in_words
from provreg.errors import FormatError, UsageError

if TYPE_CHECKING:
    from pyarrow import Array

    from provreg.core.manifest.head import Head
    from provreg.core.policy.policy import Signature
    from provreg.flows.history.blame import Attribution
    from provreg.flows.history.label_counts import LabelCounts
    from provreg.flows.verify.lineage import Ancestor
    from provreg.registry import Registry

EXAMPLES = (
    "provreg show cifar10@3",
    "provreg show cifar10@3 train/cat/1042.jpg",
    "provreg show cifar10@3 --ids",
    "provreg show cifar10@3 --ids --print0 --where \"labeler = 'mallory'\"",
    "provreg show model:out/",
    "provreg show model:out/model.safetensors --samples --also /srv/texts/.provreg",
)

_SHOWN = 10
_TOP = 20
_BATCH = 1 << 14
_PROOFS = {"log": "log", "tsa": "timestamp authority", "claimed": "signer's claim"}


def show(
    reference: ModelArgument,
    sample: Annotated[str | None, typer.Argument(metavar="[ID]", help="Id of a sample.")] = None,
    samples: Annotated[
        bool, typer.Option("--samples", help="For a model: list the samples its run received.")
    ] = False,
    ids: Annotated[
        bool, typer.Option("--ids", help="List the ids of the version's samples, one per line.")
    ] = False,
    where: WhereOption = None,
    print0: Annotated[
        bool,
        typer.Option(
            "--print0", "-0", help="With --ids: unescaped, each followed by a NUL, as for xargs -0."
        ),
    ] = False,
    also: AlsoOption = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Show a version, one of its samples, or a model's origin.

    For a version: signers, counts and reading settings. For a sample: its origin, and the runs that
    received it. For a model (a file or a folder): the training runs whose receipts name its files.
    Nothing is verified: untrusted versions and runs are shown too, and marked.

    --ids lists ids in their order, with control and hidden characters escaped; with --where, those
    of samples that meet an SQL condition (docs/reference/sql.md). --json and --print0 print the ids
    exactly.
    """
    output = printing.output()
    _check_options(ids=ids, where=where, print0=print0, sample=sample, json=output.json)
    path = model_path(reference)
    if also and path is None and sample is None:
        raise UsageError(
            "--also requires a model or an ID", hint="it is for the runs of models and samples"
        )
    outside = () if path is None else (path,)
    opened = open_registry(opening, output, outside=outside, also=also or ())
    if path is not None:
        if ids:
            raise UsageError(
                "--ids requires a version", hint="list a model's samples with --samples"
            )
        if sample is not None:
            raise UsageError(
                "an ID requires a version", hint="list a model's samples with --samples"
            )
        show_model(opened, path, output, samples=samples)
    elif samples:
        raise UsageError(
            "--samples requires a model",
            hint="write provreg show model:PATH; --ids lists the ids of a version",
        )
    elif ids:
        _list_ids(opened, reference, output, where=where, print0=print0)
    elif sample is None:
        _show_version(opened, reference, output)
    else:
        _show_sample(opened, reference, sample, output)


def _check_options(
    *, ids: bool, where: str | None, print0: bool, sample: str | None, json: bool
) -> None:
    if not ids and (where is not None or print0):
        raise UsageError("--where and --print0 require --ids")
    if ids and sample is not None:
        raise UsageError("an ID and --ids exclude each other")
    if print0 and json:
        raise UsageError("--print0 and --json exclude each other")


def _list_ids(
    opened: Registry, reference: str, output: Output, *, where: str | None, print0: bool
) -> None:
    warn_untrusted([opened.resolve(reference)], output)
    found = opened.ids(reference, where=where)
    ids = (identity for chunk in found.chunks for identity in _texts(chunk))
    if output.json:
        output.stream({"ref": reference}, "ids", ids)
    elif print0:
        output.null_terminated(ids)
    else:
        output.values(ids)


def _texts(chunk: Array) -> Iterator[str]:
    for start in range(0, len(chunk), _BATCH):
        yield from chunk.slice(start, _BATCH).to_pylist()


def _show_version(opened: Registry, reference: str, output: Output) -> None:
    details = opened.show(reference)
    version, signatures, counts = details.version, details.signatures, details.labels
    head = version.head
    warn_untrusted([version], output)
    document = version_to_json(version) | {
        "signatures": [_signature_to_json(signature, version, opened) for signature in signatures],
        "skipped": [
            {"bundle": bundle.bundle, "step": bundle.step, "reason": bundle.reason}
            for bundle in details.skipped
        ],
        "label_type": head.label_type,
        "classes": list(head.classes),
        "sources": {"distinct": head.sources.distinct, "top": dict(head.sources.top)},
        "labelers": {"distinct": head.labelers.distinct, "top": dict(head.labelers.top)},
        "reading": head.reading,
        "reused_digests": head.reused_digests,
        "parts": len(head.parts),
        "parent_version": details.parent,
    }
    if counts is not None:
        annotators = {"distinct": len(counts.annotators), "top": dict(counts.annotators[:_TOP])}
        document |= {"unlabeled": counts.unlabeled, "annotators": annotators}
    output.document(document)
    facts = {
        "version": name_of(version),
        "message": head.message or None,
        "head": version.digest,
        "root": head.root,
        "dataset uid": head.uid,
        "parent": _parent(head, details.parent, verbose=output.verbose),
        "created": f"{when(head.created)} (as claimed by the signer)",
        "samples": f"{head.samples:,} in {counted(len(head.parts), 'part')}",
        "changes": counts_in_words(head.changes),
        "labels": _labels(head.label_type, head.classes),
        "unlabeled": counts.unlabeled if counts is not None and counts.unlabeled else None,
        "sources": _names(head.sources.top, head.sources.distinct),
        "labelers": _names(head.labelers.top, head.labelers.distinct),
        "annotators": _annotators(counts),
        "reader": head.reading["reader"],
        "files in": _columns_of_files(head.reading),
        "only text": ", ".join(map(str, head.reading.get("text_columns", ()))) or None,
        "not signed": ", ".join(map(str, head.reading.get("columns_excluded", ()))) or None,
        "added columns": ", ".join(map(str, head.reading.get("columns_added", ()))) or None,
        "signed by": signed_by(version),
        "because": version.trusted_because or version.refused_because,
    }
    output.facts(facts)
    if signatures:
        output.line()
        output.table(
            ("signed by", "principal", "signed at", "time proven by", "counts"),
            [
                (
                    str(signature),
                    _principal(signature, opened),
                    when(signature.signed_at),
                    None if signature.signed_at is None else _PROOFS[signature.proof],
                    "yes" if signature in _counted(version) else "no",
                )
                for signature in signatures
            ],
            whole=("signed at",),
        )
    for bundle in details.skipped:
        output.warn(f"bundle {bundle.bundle} is not counted (step {bundle.step}): {bundle.reason}")


def _parent(head: Head, number: int | None, *, verbose: bool) -> str | None:
    """The parent by its number; by its digest where it cannot be read."""
    if number is None:
        return head.parent
    return f"{head.dataset}@{number}" + (f" ({head.parent})" if verbose else "")


def _principal(signature: Signature, opened: Registry) -> str | None:
    """Who made the signature by the policy in force, whether or not it counts."""
    found = None if opened.trust is None else opened.trust.policy.signer_of(signature)
    return None if found is None else found.name


def _counted(version: Ancestor) -> list[Signature]:
    return [signer.signature for signer in version.signers]


def _signature_to_json(
    signature: Signature, version: Ancestor, opened: Registry
) -> dict[str, object]:
    who = {"key": signature.key} if signature.key is not None else {
        "identity": signature.identity, "issuer": signature.issuer,
    }  # fmt: skip
    return {
        "principal": _principal(signature, opened),
        **who,
        "signed_at": when(signature.signed_at),
        "proof": signature.proof,
        "counts": signature in _counted(version),
    }


def _show_sample(opened: Registry, reference: str, sample: str, output: Output) -> None:
    blamed = opened.blame(reference, (sample,))
    warn_damaged(opened.damaged, output)
    entry = entry_to_json(blamed.entries.to_pylist()[0])
    (answer,) = blamed
    attributions = (("content", answer.content), ("label", answer.label))
    versions = {attribution.version.digest: attribution.version for _, attribution in attributions}
    warn_untrusted(versions.values(), output)
    content = attribution_to_json(answer.content, "source")
    label = attribution_to_json(answer.label, "labeler")
    found, unresolved = opened.runs_of_sample(reference, sample)
    warn_unresolved(unresolved, output)
    runs = [run_to_json(exposure.run) for exposure in found]
    output.document(
        {"ref": reference, "entry": entry, "content": content, "label": label, "runs": runs}
    )
    since = {f"{what} since": _since(attribution, what) for what, attribution in attributions}
    output.facts(entry | since)
    if found:
        output.line()
        output.line("runs that received this id, or the same content under another id:")
        runs_table(found, output)


def _since(attribution: Attribution, what: str) -> str:
    version = attribution.version
    words = f"{name_of(version)}, {when(version.head.created)}, signed by {signed_by(version)}"
    if attribution.restated_in is None:
        return words
    name = attribution.source if what == "content" else attribution.labeler
    return (
        f"{words}; then by {name or 'nobody'}, rewritten in @{attribution.restated_in.head.version}"
    )


def _labels(label_type: str, classes: tuple[str, ...]) -> str:
    if label_type != "class":
        return label_type
    shown = ", ".join(classes[:_SHOWN])
    return f"{counted(len(classes), 'class', 'classes')}: {shown}" + (
        ", …" if len(classes) > _SHOWN else ""
    )


def _annotators(counts: LabelCounts | None) -> str | None:
    """Who annotated how many samples; None if nobody did."""
    if counts is None or not counts.annotators:
        return None
    return _names(counts.annotators[:_SHOWN], len(counts.annotators))


def _columns_of_files(reading: Mapping[str, Any]) -> str | None:
    """The columns of a table that name files, which are signed with their rows."""
    from provreg.core.rows.column import columns_from_json
    from provreg.core.rows.files import file_paths

    try:
        columns = columns_from_json(reading.get("columns", []), "head.reading.columns")
    except FormatError:  # of a head that nobody can read the data of
        return None
    paths = ((column.name, *path) for column in columns for path in file_paths(column.type))
    return ", ".join(map(".".join, paths)) or None


def _names(top: tuple[tuple[str, int], ...], distinct: int) -> str:
    shown = ", ".join(f"{name} {samples:,}" for name, samples in top[:_SHOWN])
    return (shown or "none") + (f", … ({distinct:,} in all)" if distinct > _SHOWN else "")
