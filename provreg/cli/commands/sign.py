"""`provreg sign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.commands.diff import show_changes
from provreg.cli.ui.options import (
    AfterRevokedOption,
    Opening,
    Printing,
    ReferenceArgument,
    Signing,
    YesOption,
    path_after,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import name_of, proposal_to_json, when
from provreg.cli.ui.runs import receipt_facts
from provreg.cli.ui.session import (
    confirm,
    open_registry,
    print_warnings,
    require_signer,
    warn_untrusted,
)
from provreg.core.encoding.text import counted
from provreg.core.manifest.head import counts_in_words
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.core.statements.receipt import Receipt
    from provreg.flows.sign.countersign import Countersigned, Review
    from provreg.flows.verify.lineage import Ancestor
    from provreg.registry import Registry
    from provreg.trust.signers import Signer

EXAMPLES = (
    "provreg sign cifar10@3 --sign key:bob.key",
    "provreg sign cifar10@3 --sign key:bob.key --timestamp"
    " https://timestamp.sigstore.dev/api/v1/timestamp -v",
    "provreg sign cifar10@3 --sign keyless --policy policy.toml --yes",
    "provreg sign trial@2 --sign keyless --trust-config sigstore.json --yes",
    "provreg sign trial@2 --sign keyless --staging --trusted-root root.json",
    "provreg sign cifar10@sha256:8d02…f1 --sign key:bob.key",
    "provreg sign cifar10@sha256:8d02…f1 --sign key:bob.key --after-revoked",
    "provreg sign cifar10 --all --sign key:new.key",
    "provreg sign cifar10 --all --signed-by old.key.pub --sign key:new.key --yes",
    "provreg sign receipt:FILE --sign keyless",
    "provreg sign receipt:FILE --model out/ --sign keyless",
)


def sign(
    reference: ReferenceArgument,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="PATH", help="With receipt:FILE: the model, if the receipt lacks it."
        ),
    ] = None,
    all_versions: Annotated[
        bool,
        typer.Option(
            "--all", help="Sign every trusted version of the dataset NAME, as a new key does."
        ),
    ] = False,
    signed_by_key: Annotated[
        Path | None,
        typer.Option(
            "--signed-by", metavar="FILE", help="With --all: only versions that this key signed."
        ),
    ] = None,
    after_revoked: AfterRevokedOption = False,
    yes: YesOption = False,
    *,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Review and sign a proposal or a version.

    Its integrity is verified. You see its changes from its parent and the policy's verdict before
    you are asked. Signing only adds your signature, over the same statement. A proposal is named by
    its digest (`provreg ls --proposals`); the signature that completes it also publishes it.

    --all is for the successor of a key that is about to end (docs/guides/keys.md). It lists the
    versions, asks once, and passes over those that the policy does not trust. If it is interrupted,
    run it again: no version is signed twice.

    receipt:FILE is the receipt of a training run that could not be signed when the run ended; the
    error message named the file (docs/guides/receipts.md). If the model could not be read then,
    pass it with --model.
    """
    output = printing.output()
    receipt = path_after("receipt:", reference, hint="write receipt:FILE")
    if signed_by_key is not None and not all_versions:
        raise UsageError("--signed-by requires --all")
    if all_versions and (model is not None or after_revoked or not _is_name(reference)):
        raise UsageError(
            "--all signs the versions of a dataset, without --model and --after-revoked",
            hint="write the name alone: provreg sign NAME --all --sign key:FILE",
        )
    if model is not None and receipt is None:
        raise UsageError("--model requires receipt:FILE", hint="sign a version without --model")
    opened = open_registry(opening, output, root=signing)
    signer = require_signer(signing, opened, output)
    if receipt is not None:
        _sign_receipt(opened, receipt, model, signer, output, yes=yes)
        return
    if all_versions:
        _sign_all(opened, reference, signed_by_key, signer, output, yes=yes)
        return
    if opened.trust is not None:
        from provreg.flows.session.trust import POLICY
        from provreg.flows.sign.succession import is_known

        # Under --key somebody looks at another's version before they sign it: no policy is asked.
        unknown = opened.trust.name == POLICY and not is_known(signer, opened.trust)
        _warn_unknown(known=not unknown, output=output)
    review = opened.review(reference, after_revoked=after_revoked)
    print_warnings(opened, output)
    _show(review, output)
    name = name_of(review.version)
    what = name if review.proposal is None else f"the proposal of {name}"
    confirm(f"sign {what} as shown above?", yes=yes)
    signed = opened.countersign(review, signer, after_revoked=after_revoked)
    version = signed.version
    output.document(_document(review, signed.bundle) | _outcome(signed))
    if signed.bundle is None:
        output.line(f"you have already signed {what}: nothing was added")
    else:
        output.line(f"{what} signed ({signed.bundle})")
    if signed.published:
        output.line(f"{name} published")
    if signed.proposal is None:
        output.line(f"  now {_verdict(version)}")
    else:
        output.line(f"  it still waits for signatures: {signed.proposal.because}")
        output.line(f"  {signed.proposal.needed}")


def _warn_unknown(*, known: bool, output: Output) -> None:
    """Warns of a signature that will not count."""
    if not known:
        output.warn(
            "the policy in force does not have this signer: its signature counts for nobody who"
            " uses it (`provreg policy add key`)"
        )


def _is_name(reference: str) -> bool:
    return "@" not in reference and ":" not in reference


def _sign_all(
    opened: Registry,
    dataset: str,
    signed_by_key: Path | None,
    signer: Signer,
    output: Output,
    *,
    yes: bool,
) -> None:
    """Lists the versions that a new key is to sign, and signs them."""
    from provreg.trust.keys import load_public_file

    old = None if signed_by_key is None else load_public_file(signed_by_key)
    with output.progress("verifying versions") as progress:
        plan = opened.plan_signing(dataset, signer, signed_by=old, progress=progress)
    print_warnings(opened, output)
    _warn_unknown(known=plan.known, output=output)
    if plan.versions:
        output.table(
            ("version", "created", "samples", "changes", "signed by"),
            [
                (
                    name_of(version),
                    when(version.head.created),
                    version.head.samples,
                    counts_in_words(version.head.changes),
                    ", ".join(version.signed_by),
                )
                for version in plan.versions
            ],
            whole=("version",),
        )
    for passed in plan.passed_over:
        output.note(f"not signed: {name_of(passed.version)}: {passed.because}")
    signed = []
    if plan.versions:
        confirm(f"sign {counted(len(plan.versions), 'version')} as listed?", yes=yes)
        with output.progress("signing versions") as progress:
            signed = opened.sign_versions(plan, signer, progress=progress)
    output.document(
        {
            "dataset": dataset,
            "signed": [name_of(version) for version in signed],
            "signed_before": [name_of(version) for version in plan.signed],
            "passed_over": [
                {"ref": name_of(passed.version), "because": passed.because}
                for passed in plan.passed_over
            ],
        }
    )
    before = f"; {len(plan.signed):,} were signed before" if plan.signed else ""
    output.line(f"{dataset}: {counted(len(signed), 'version')} signed{before}")


def _outcome(signed: Countersigned) -> dict[str, Any]:
    version, proposal = signed.version, signed.proposal
    return {
        "trusted": version.trusted_because is not None,
        "because": version.trusted_because or version.refused_because,
        "published": signed.published,
        "proposal": None if proposal is None else proposal_to_json(proposal),
    }


def _show(review: Review, output: Output) -> None:
    """Prints what is about to be signed; `--json` has the same after signing."""
    version, head = review.version, review.version.head
    samples = counted(head.samples, "sample")
    output.line(f"{name_of(version)}: {samples}, created {when(head.created)} (as claimed)")
    output.line(f"  {version.digest}")
    if head.message:
        output.line(f"  {head.message}")
    output.line(f"  signed by {', '.join(version.signed_by) or 'nobody yet'}")
    if review.changes is None:
        output.line("this is the first version: all samples are new")
        output.table(("source", "samples"), head.sources.top)
        output.table(("labeler", "samples"), head.labelers.top)
    else:
        counts = review.changes.changes.counts()
        output.line(f"compared with {review.changes.old_name}: {counts_in_words(counts)}")
        show_changes(review.changes, output)
    warn_untrusted(review.before, output)
    output.line(_verdict(version))
    if review.proposal is not None and review.proposal.needed:
        output.line(f"  {review.proposal.needed}")


def _verdict(version: Ancestor) -> str:
    if version.trusted_because is not None:
        return f"trusted here: {version.trusted_because}"
    if version.standing in {"waiting", "proposed"}:
        return f"waits for signatures: {version.refused_because}"
    return f"UNTRUSTED here: {version.refused_because}"


def _document(review: Review, bundle: str | None) -> dict[str, Any]:
    version = review.version
    counts = None if review.changes is None else review.changes.changes.counts()
    return {
        "ref": name_of(version),
        "head": version.digest,
        "signed": bundle is not None,
        "bundle": bundle,
        "changes": counts,
        "untrusted_before": [
            {"ref": name_of(earlier), "because": earlier.refused_because}
            for earlier in review.before
            if earlier.trusted_because is None
        ],
    }


def _sign_receipt(
    opened: Registry,
    path: Path,
    model: Path | None,
    signer: Signer,
    output: Output,
    *,
    yes: bool,
) -> None:
    """Shows the pending receipt at `path`, signs and stores it, and removes the file.

    `model` is the run's model, if it could not be read when the run ended.
    """

    def review(digest: str, receipt: Receipt) -> None:
        output.facts(receipt_facts(digest, receipt))
        confirm("sign this receipt as shown above?", yes=yes)

    with output.progress("hashing the model") as progress:
        run = opened.sign_receipt(path, signer, model=model, confirm=review, progress=progress)
    print_warnings(opened, output)
    because = None if run.refused is None else str(run.refused)
    output.document({"receipt": run.digest, "trusted": because is None, "because": because})
    output.line(f"receipt {run.digest} is signed and stored")
    output.line("  trusted here" if because is None else f"  UNTRUSTED here: {because}")
