"""`provreg show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.options import (
    JsonOption,
    KeyOption,
    PolicyOption,
    QuietOption,
    ReferenceArgument,
    RegistryOption,
    VerboseOption,
)
from provreg.cli.output import Output
from provreg.cli.render import (
    attribution_to_json,
    counted,
    counts_in_words,
    entry_to_json,
    name_of,
    signed_by,
    version_to_json,
    when,
)
from provreg.cli.session import open_registry, say_damage, say_untrusted

if TYPE_CHECKING:
    from provreg.registry import Registry

EXAMPLES = (
    "provreg show cifar10@3",
    "provreg show cifar10@3 train/cat/1042.jpg",
)

_SHOWN = 10


def show(
    reference: ReferenceArgument,
    sample: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A sample of that version.")
    ] = None,
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show a version, or one sample of it.

    Of a version: who signed it, what it counts and how it was read. It is not verified: an
    untrusted one is shown too, and marked.
    """
    output = Output(json=json, quiet=quiet, verbose=verbose)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    if sample is None:
        _show_version(opened, reference, output)
    else:
        _show_sample(opened, reference, sample, output)


def _show_version(opened: Registry, reference: str, output: Output) -> None:
    version = opened.resolve(reference)
    head = version.head
    say_untrusted([version], output)
    document = version_to_json(version) | {
        "label_type": head.label_type,
        "classes": list(head.classes),
        "sources": {"distinct": head.sources.distinct, "top": dict(head.sources.top)},
        "labelers": {"distinct": head.labelers.distinct, "top": dict(head.labelers.top)},
        "reading": head.reading,
        "reused_digests": head.reused_digests,
        "parts": len(head.parts),
    }
    output.document(document)
    facts = {
        "version": name_of(version),
        "message": head.message or None,
        "head": version.digest,
        "root": head.root,
        "dataset uid": head.uid,
        "parent": head.parent,
        "created": f"{when(head.created)} (by the signer's word)",
        "samples": f"{head.samples:,} in {counted(len(head.parts), 'part')}",
        "changes": counts_in_words(head.changes),
        "labels": _labels(head.label_type, head.classes),
        "sources": _names(head.sources.top, head.sources.distinct),
        "labelers": _names(head.labelers.top, head.labelers.distinct),
        "read by": head.reading["reader"],
        "signed by": signed_by(version),
        "because": version.trusted_because or version.refused_because,
    }
    output.facts(facts)


def _show_sample(opened: Registry, reference: str, sample: str, output: Output) -> None:
    blamed = opened.blame(reference, (sample,))
    say_damage(opened.damaged, output)
    entry = entry_to_json(blamed.entries.to_pylist()[0])
    (answer,) = blamed
    attributions = (("bytes", answer.content), ("label", answer.label))
    versions = {one.version.digest: one.version for _, one in attributions}
    say_untrusted(versions.values(), output)
    content, label = attribution_to_json(answer.content), attribution_to_json(answer.label)
    output.document({"ref": reference, "entry": entry, "content": content, "label": label})
    since = {
        f"{what} since": f"{name_of(one.version)}, {when(one.version.head.created)},"
        f" signed by {signed_by(one.version)}"
        for what, one in attributions
    }
    output.facts(entry | since)


def _labels(label_type: str, classes: tuple[str, ...]) -> str:
    if label_type != "class":
        return label_type
    shown = ", ".join(classes[:_SHOWN])
    return f"{counted(len(classes), 'class', 'classes')}: {shown}" + (
        ", …" if len(classes) > _SHOWN else ""
    )


def _names(top: tuple[tuple[str, int], ...], distinct: int) -> str:
    shown = ", ".join(f"{name} {samples:,}" for name, samples in top[:_SHOWN])
    return (shown or "none") + (f", … ({distinct:,} in all)" if distinct > _SHOWN else "")
