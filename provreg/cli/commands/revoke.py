"""`provreg revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
    ReferenceArgument,
    Signing,
    YesOption,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import counted
from provreg.cli.ui.session import confirm, open_registry, require_signer
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.core.statements.revocation import Revocation, RevokedSamples
    from provreg.flows.sign.revoke import RevocationPlan, Revoked

EXAMPLES = (
    "provreg revoke cifar10@3 --reason 'labels of 3 May were flipped' --sign key:chief.key",
    "provreg revoke cifar10 --source vendor-b --reason 'poisoned crawl' --sign key:chief.key",
    "provreg revoke cifar10 --labeler mallory --since 5 --reason 'account stolen' --sign keyless"
    " --yes",
    "provreg revoke cifar10@3 --reason poison --sign key:chief.key --timestamp"
    " https://timestamp.sigstore.dev/api/v1/timestamp",
    "provreg revoke trial@2 --reason trial --sign keyless --trust-config sigstore.json",
    "provreg revoke trial@2 --reason trial --sign keyless --staging --trusted-root root.json",
)


def revoke(
    reference: ReferenceArgument,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why: those who are refused read it.")
    ],
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Revoke the samples from this source.")
    ] = None,
    labeler: Annotated[
        str | None, typer.Option(metavar="NAME", help="Revoke the samples this labeler labeled.")
    ] = None,
    since: Annotated[
        int, typer.Option(metavar="N", help="Of these, what version N or later brought in.")
    ] = 1,
    yes: YesOption = False,
    *,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Revoke a version, or samples by source or labeler.

    Everybody whose policy lets you revoke is refused the version from then on, and can leave out
    the samples. It cannot be taken back.
    """
    output = printing.output()
    samples = _samples(source, labeler, since)
    opened = open_registry(opening, output, root=signing)
    signer = require_signer(signing, opened, output)

    aims: list[RevocationPlan] = []

    def asked(aim: RevocationPlan) -> None:
        aims.append(aim)
        _show(aim, output)
        confirm(f"revoke {aim.revocation.what}? It cannot be taken back", yes=yes)

    made = opened.revoke(reference, reason, signer, samples=samples, asked=asked)
    for warning in opened.warnings:
        output.warn(warning)
    _report(made, aims[0], output)


def _samples(source: str | None, labeler: str | None, since: int) -> RevokedSamples | None:
    from provreg.core.statements.revocation import RevokedSamples

    if source is not None and labeler is not None:
        raise UsageError(
            "--source and --labeler are two revocations", hint="revoke one, then the other"
        )
    if source is None and labeler is None:
        if since != 1:
            raise UsageError("--since is for --source and --labeler")
        return None
    if not 1 <= since <= 99_999_999:
        raise UsageError(f"{since} is not a version number")
    if source is not None:
        return RevokedSamples("source", source, since)
    return RevokedSamples("labeler", labeler or "", since)


def _show(aim: RevocationPlan, output: Output) -> None:
    """What is about to be revoked, as far as a person can check it."""
    revocation = aim.revocation
    output.line(f"{revocation.dataset}@{revocation.version}, {counted(aim.samples, 'sample')}")
    output.line(f"  {revocation.head}")
    if revocation.samples is not None:
        output.line(f"  {revocation.samples}: {aim.revoked:,} of them")
        others = [(name, count) for name, count in aim.names if name != revocation.samples.name]
        unnamed = aim.revoked - sum(count for _, count in aim.names)
        if others or unnamed:
            said = [f"{count:,} that are {name}'s by now" for name, count in others]
            said += [f"{unnamed:,} that are nobody's by now"] if unnamed else []
            output.line(f"  among these {', '.join(said)}: the name was taken from them later")
        if not aim.revoked:
            output.warn(f"{revocation.dataset}@{revocation.version} has no {revocation.samples}")


def _report(made: Revoked, aim: RevocationPlan, output: Output) -> None:
    from provreg.flows.verify.revocations import InForce

    outcome = made.outcome
    in_force = outcome if isinstance(outcome, InForce) else None
    revocation = outcome.revocation
    assert revocation is not None  # noqa: S101 (what was just signed can be read)
    why_not = None if isinstance(outcome, InForce) else outcome.reason
    if why_not is not None:
        output.warn(f"revocation {revocation.number} is not in force here: {why_not}")
    by = [name for name, _ in outcome.approvals]
    output.document(_document(revocation) | {
        "added": made.added, "in_force": in_force is not None, "by": by, "because": why_not,
        "revoked": aim.revoked, "names": dict(aim.names),
    })  # fmt: skip
    said = "revoked" if made.added else "was revoked before"
    output.line(f"{revocation.what} {said}: revocation {revocation.number}")
    output.line(f"  {revocation.digest()}")
    told = "tell whoever trained on it"
    if aim.proposed:
        told = "nobody could train on it: it was proposed"
    output.note(f"{told}; `provreg latest` attests it to newcomers")


def _document(revocation: Revocation) -> dict[str, Any]:
    from dataclasses import asdict

    samples = revocation.samples
    return {
        "revocation": revocation.number,
        "digest": revocation.digest(),
        "dataset": revocation.dataset,
        "uid": revocation.uid,
        "version": revocation.version,
        "head": revocation.head,
        "samples": None if samples is None else asdict(samples),
        "reason": revocation.reason,
    }
