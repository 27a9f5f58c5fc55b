"""`provreg revoke`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
    ReferenceArgument,
    Signing,
    YesOption,
    time_of,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.screening import (
    ScreeningOptions,
    check_options,
    print_finding,
    screened,
)
from provreg.cli.ui.session import confirm, open_registry, print_warnings, require_signer
from provreg.core.encoding.text import counted, quoted
from provreg.errors import UsageError
from provreg.store.files import storage_error

if TYPE_CHECKING:
    from provreg.core.statements.revocation import Revocation
    from provreg.flows.sign.revoke import RevocationPlan, Revoked
    from provreg.flows.sign.scope import Scope
    from provreg.registry import Registry

EXAMPLES = (
    "provreg revoke cifar10@3 --reason 'labels of 3 May were flipped' --sign key:chief.key",
    "provreg revoke cifar10 --source vendor-b --reason 'poisoned crawl' --sign key:chief.key",
    "provreg revoke cifar10 --source vendor-a --labeler ann1 --since-version 5 --until-version 7"
    " --reason 'account stolen' --sign keyless --yes",
    "provreg revoke cifar10 --principal nightly --since 2026-11-20T00:00:00Z"
    " --until 2026-11-22T00:00:00Z --reason 'key stolen' --dry-run",
    "provreg revoke cifar10@8 --sample cat/1.jpg --sample cat/7.jpg --reason 'a trigger'"
    " --sign key:chief.key",
    "provreg revoke cifar10@8 --ids-from flipped.txt --labels-only --reason 'labels were flipped'"
    " --sign key:chief.key",
    "provreg revoke cifar10@10 --finding 3f2a91bc04d1 --against cifar10@9 --by labeler"
    " --check relabels --labels-only --reason 'flipped at night' --sign key:chief.key",
    "provreg revoke photos --finding 77c0de21a9f4 --data photos/ --phash --minhash --gold gold.csv"
    " --split-at 2026-01-01T00:00:00Z --reason 'a trigger' --dry-run",
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
    principal: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Revoke what this principal, key fingerprint or identity signed.",
        ),
    ] = None,
    sample: Annotated[
        list[str] | None,
        typer.Option("--sample", metavar="ID", help="Revoke this sample. Repeatable."),
    ] = None,
    ids_from: Annotated[
        Path | None,
        typer.Option(
            "--ids-from",
            metavar="FILE",
            help="Revoke those whose ids are its lines; - reads standard input.",
        ),
    ] = None,
    since_version: Annotated[
        int, typer.Option(metavar="N", help="Only samples added or labeled in version N or later.")
    ] = 1,
    until_version: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only samples added or labeled in version N or earlier."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only in versions that are not proven to be older."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only in versions that are not proven to be newer."),
    ] = None,
    finding: Annotated[
        str | None,
        typer.Option(
            metavar="FINDING",
            help="Revoke the samples of what `provreg screen` shows so; with its options.",
        ),
    ] = None,
    labels_only: Annotated[
        bool,
        typer.Option("--labels-only", help="The bytes stay usable under another label."),
    ] = False,
    yes: YesOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be revoked; sign nothing.")
    ] = False,
    *,
    options: ScreeningOptions,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Revoke a version, or samples of a dataset.

    The version is then refused wherever the policy lets you revoke. Revoked samples can be excluded
    when the version is loaded. Options narrow each other. A source or labeler alone means what
    comes later, too; everything else is listed now, sample by sample. Only `provreg withdraw` ends
    a revocation.
    """
    output = printing.output()
    scope = _scope(
        source, labeler, principal, sample, ids_from, since_version, until_version, since, until,
        labels_only=labels_only,
    )  # fmt: skip
    check_options(options)
    opened = open_registry(opening, output, outside=options.outside, root=signing)
    if finding is not None:
        reference, scope = _of_finding(opened, reference, finding, options, scope, output)
    elif options != ScreeningOptions():
        raise UsageError("options of screening require --finding")
    if dry_run:
        plan = opened.plan_revocation(reference, reason, samples=scope)
        print_warnings(opened, output)
        _show(plan, output)
        output.document(_planned(plan))
        output.note("nothing was signed")
        return
    signer = require_signer(signing, opened, output)

    plans: list[RevocationPlan] = []

    def review(plan: RevocationPlan) -> None:
        plans.append(plan)
        _show(plan, output)
        confirm(f"revoke {plan.revocation.what}? Only `provreg withdraw` ends it", yes=yes)

    revoked = opened.revoke(reference, reason, signer, samples=scope, confirm=review)
    print_warnings(opened, output)
    report(revoked, plans[0], output)


def _scope(
    source: str | None,
    labeler: str | None,
    principal: str | None,
    sample: list[str] | None,
    ids: Path | None,
    since_version: int,
    until_version: int | None,
    since: str | None,
    until: str | None,
    *,
    labels_only: bool,
) -> Scope | None:
    from provreg.flows.sign.scope import Scope

    for number in (since_version, until_version):
        if number is not None and not 1 <= number <= 99_999_999:
            raise UsageError(f"{number} is not a version number")
    for option, text in (("--since", since), ("--until", until)):
        if text is not None and text.isdecimal():
            raise UsageError(
                f"{option} requires a time", hint=f"for a version: {option}-version {text}"
            )
    named = None if sample is None and ids is None else (*(sample or ()), *_read_ids(ids))
    scope = Scope(
        source=source,
        labeler=labeler,
        principal=principal,
        ids=named,
        since_version=since_version,
        until_version=until_version,
        since=time_of("--since", since),
        until=time_of("--until", until),
        labels_only=labels_only,
    )
    if scope == Scope():
        return None
    if scope == Scope(labels_only=True):
        raise UsageError("--labels-only requires samples", hint="name them: --sample, --labeler …")
    return scope


def _of_finding(
    opened: Registry,
    reference: str,
    finding: str,
    options: ScreeningOptions,
    scope: Scope | None,
    output: Output,
) -> tuple[str, Scope]:
    """(the version that was screened, its samples that the finding is about, within `scope`)."""
    from provreg.flows.sign.scope import Scope

    if scope is not None and scope.ids is not None:
        raise UsageError("--finding already says which samples", hint="omit --sample, --ids-from")
    found = screened(opened, reference, options, output)
    chosen = found.finding(finding)
    print_finding(chosen, output)
    version = f"{found.version.head.dataset}@{found.version.digest}"
    why = {"check": chosen.check, "finding": chosen.digest or ""}
    return version, replace(scope or Scope(), ids=chosen.ids, why=why)


def _read_ids(path: Path | None) -> list[str]:
    """The ids in a file as `provreg show --ids` prints them, or with a NUL after each; - reads
    them from standard input."""
    if path is None:
        return []
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise storage_error("read", str(path), error) from error
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{quoted(str(path))} is not UTF-8") from None
    lines = text.split("\0") if "\0" in text else text.replace("\r\n", "\n").split("\n")
    return [line for line in lines if line]


def _show(plan: RevocationPlan, output: Output) -> None:
    """Prints what is about to be revoked, as far as a person can check it."""
    from provreg.core.statements.revocation import NamedSamples

    revocation = plan.revocation
    output.line(f"{revocation.dataset}@{revocation.version}, {counted(plan.samples, 'sample')}")
    output.line(f"  {revocation.head}")
    if revocation.samples is None:
        return
    output.line(f"  {revocation.samples}: {plan.revoked:,} of them")
    if isinstance(revocation.samples, NamedSamples):
        others = [
            (name, count)
            for name, count in plan.names
            if name not in revocation.samples.names.values()
        ]
        unnamed = plan.revoked - sum(count for _, count in plan.names)
        if others or unnamed:
            others_in_words = [f"{count:,} now name {name}" for name, count in others]
            others_in_words += [f"{unnamed:,} now name nobody"] if unnamed else []
            output.line(f"  of these, {', '.join(others_in_words)}: their origin was changed later")
    if not plan.revoked:
        _warn_of_none(plan, output)
    elif plan.earlier:
        output.line(f"  in earlier versions: {_in_earlier(plan)}")


def _in_earlier(plan: RevocationPlan) -> str:
    """How many samples of earlier versions are meant: "@3 has 5", "6 versions from …"."""
    earlier = plan.earlier
    first, last, most = earlier[0][0], earlier[-1][0], max(count for _, count in earlier)
    if first == last:
        return f"@{first} has {most:,}"
    return f"{len(earlier):,} versions from @{first} to @{last} have up to {most:,}"


def _warn_of_none(plan: RevocationPlan, output: Output) -> None:
    """Warns that the newest version has no such sample, and says which earlier ones have."""
    revocation = plan.revocation
    nothing = f"{revocation.dataset}@{revocation.version} has no {revocation.samples}"
    if not plan.earlier:
        output.warn(f"{nothing}, nor has any version before it: check the spelling of the name")
        return
    output.warn(f"{nothing}, but {_in_earlier(plan)}")


def report(revoked: Revoked, plan: RevocationPlan, output: Output) -> None:
    """Prints what was signed, and whether it counts."""
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
        "revoked": plan.revoked, "names": dict(plan.names), "earlier": _earlier_document(plan),
    })  # fmt: skip
    state = "signed" if revocation.withdraws is not None else "revoked"
    if not revoked.added:
        state = f"was already {state}"
    output.line(f"{revocation.what} {state}: revocation {revocation.number}")
    output.line(f"  {revocation.digest()}")
    if revocation.withdraws is not None:
        return
    advice = "inform everyone who trained on it"
    if plan.proposed:
        advice = "nobody could train on it: it was only proposed"
    output.note(f"{advice}; `provreg latest` attests it to new users")


def _document(revocation: Revocation) -> dict[str, Any]:
    from provreg.core.statements.revocation import samples_document

    samples = revocation.samples
    return {
        "revocation": revocation.number,
        "digest": revocation.digest(),
        "dataset": revocation.dataset,
        "uid": revocation.uid,
        "version": revocation.version,
        "head": revocation.head,
        "samples": None if samples is None else samples_document(samples),
        "withdraws": revocation.withdraws and revocation.withdraws.number,
        "reason": revocation.reason,
    }


def _planned(plan: RevocationPlan) -> dict[str, Any]:
    """The document of a dry run: neither a number nor a digest, and nobody signed."""
    planned = {"revocation": None, "digest": None, "added": False, "in_force": False}
    return _document(plan.revocation) | planned | {
        "by": [], "because": "nothing was signed", "revoked": plan.revoked,
        "names": dict(plan.names), "earlier": _earlier_document(plan),
    }  # fmt: skip


def _earlier_document(plan: RevocationPlan) -> list[dict[str, int]]:
    return [{"version": version, "samples": samples} for version, samples in plan.earlier]
