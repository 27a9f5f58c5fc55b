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
from provreg.cli.ui.session import confirm, open_registry, print_warnings, require_signer
from provreg.core.encoding.text import counted
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
        str, typer.Option(metavar="TEXT", help="Reason, shown to everyone who is refused.")
    ],
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Revoke the samples from this source.")
    ] = None,
    labeler: Annotated[
        str | None, typer.Option(metavar="NAME", help="Revoke the samples of this labeler.")
    ] = None,
    since: Annotated[
        int, typer.Option(metavar="N", help="Only samples added in version N or later.")
    ] = 1,
    yes: YesOption = False,
    *,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Revoke a version, or samples by source or labeler.

    The version is then refused wherever the policy lets you revoke. Revoked samples can be excluded
    when the version is loaded. A revocation cannot be undone.
    """
    output = printing.output()
    samples = _samples(source, labeler, since)
    opened = open_registry(opening, output, root=signing)
    signer = require_signer(signing, opened, output)

    plans: list[RevocationPlan] = []

    def review(plan: RevocationPlan) -> None:
        plans.append(plan)
        _show(plan, output)
        confirm(f"revoke {plan.revocation.what}? This cannot be undone", yes=yes)

    revoked = opened.revoke(reference, reason, signer, samples=samples, confirm=review)
    print_warnings(opened, output)
    _report(revoked, plans[0], output)


def _samples(source: str | None, labeler: str | None, since: int) -> RevokedSamples | None:
    from provreg.core.statements.revocation import RevokedSamples

    if source is not None and labeler is not None:
        raise UsageError(
            "--source and --labeler need a revocation each", hint="revoke one, then the other"
        )
    if source is None and labeler is None:
        if since != 1:
            raise UsageError("--since requires --source or --labeler")
        return None
    if not 1 <= since <= 99_999_999:
        raise UsageError(f"{since} is not a version number")
    if source is not None:
        return RevokedSamples("source", source, since)
    return RevokedSamples("labeler", labeler or "", since)


def _show(plan: RevocationPlan, output: Output) -> None:
    """Prints what is about to be revoked, as far as a person can check it."""
    revocation = plan.revocation
    output.line(f"{revocation.dataset}@{revocation.version}, {counted(plan.samples, 'sample')}")
    output.line(f"  {revocation.head}")
    if revocation.samples is not None:
        output.line(f"  {revocation.samples}: {plan.revoked:,} of them")
        others = [(name, count) for name, count in plan.names if name != revocation.samples.name]
        unnamed = plan.revoked - sum(count for _, count in plan.names)
        if others or unnamed:
            others_in_words = [f"{count:,} now name {name}" for name, count in others]
            others_in_words += [f"{unnamed:,} now name nobody"] if unnamed else []
            output.line(f"  of these, {', '.join(others_in_words)}: their origin was changed later")
        if not plan.revoked:
            _warn_of_none(plan, output)


def _warn_of_none(plan: RevocationPlan, output: Output) -> None:
    """Warns that the newest version has no such sample, and says which earlier ones have."""
    revocation, earlier = plan.revocation, plan.earlier
    nothing = f"{revocation.dataset}@{revocation.version} has no {revocation.samples}"
    if not earlier:
        output.warn(f"{nothing}, nor has any version before it: check the spelling of the name")
        return
    first, last, most = earlier[0][0], earlier[-1][0], max(count for _, count in earlier)
    where = f"@{first} has {most:,}"
    if first != last:
        where = f"{len(earlier):,} versions from @{first} to @{last} have up to {most:,}"
    output.warn(f"{nothing}, but {where}")


def _report(revoked: Revoked, plan: RevocationPlan, output: Output) -> None:
    from provreg.flows.verify.revocations import InForce

    outcome = revoked.outcome
    in_force = outcome if isinstance(outcome, InForce) else None
    revocation = outcome.revocation
    assert revocation is not None  # noqa: S101 (what was just signed can be read)
    why_not = None if isinstance(outcome, InForce) else outcome.reason
    if why_not is not None:
        output.warn(f"revocation {revocation.number} is not in force here: {why_not}")
    by = [name for name, _ in outcome.approvals]
    output.document(_document(revocation) | {
        "added": revoked.added, "in_force": in_force is not None, "by": by, "because": why_not,
        "revoked": plan.revoked, "names": dict(plan.names),
    })  # fmt: skip
    state = "revoked" if revoked.added else "was already revoked"
    output.line(f"{revocation.what} {state}: revocation {revocation.number}")
    output.line(f"  {revocation.digest()}")
    advice = "inform everyone who trained on it"
    if plan.proposed:
        advice = "nobody could train on it: it was only proposed"
    output.note(f"{advice}; `provreg latest` attests it to new users")


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
