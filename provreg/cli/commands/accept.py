"""`provreg accept`."""

from __future__ import annotations

from typing import Annotated

import typer

from provreg.cli.ui.options import Opening, Printing, ReferenceArgument, Signing, YesOption
from provreg.cli.ui.screening import (
    ScreeningOptions,
    acceptance_to_json,
    check_options,
    finding_to_json,
    print_finding,
    screened,
    short_digest,
)
from provreg.cli.ui.session import confirm, open_registry, print_warnings, require_signer
from provreg.core.encoding.text import counted

EXAMPLES = (
    "provreg accept cifar10@10 3f2a91bc04d1 --reason 'dora corrects what others left'"
    " --sign key:chief.key",
    "provreg accept cifar10@10 3f2a91bc04d1 --against cifar10@9 --by labeler --check relabels"
    " --reason 'looked at all 60' --sign keyless --yes",
    "provreg accept photos 77c0de21a9f4 --data photos/ --phash --reason 'two in one picture'"
    " --sign key:chief.key --timestamp https://timestamp.sigstore.dev/api/v1/timestamp",
    "provreg accept reviews 90ab12cd34ef --data reviews.jsonl --minhash --reason 'one template'"
    " --sign key:chief.key",
    "provreg accept photos 5b1e77c0de21 --gold gold.csv --split-at 2026-01-01T00:00:00Z"
    " --reason trial --sign keyless --trust-config sigstore.json",
    "provreg accept photos 5b1e77c0de21 --reason trial --sign keyless --staging"
    " --trusted-root root.json",
)


def accept(
    ref: ReferenceArgument,
    finding: Annotated[
        str, typer.Argument(metavar="FINDING", help="What `provreg screen` shows after `finding:`.")
    ],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason, shown whenever the version is screened.")
    ],
    yes: YesOption = False,
    *,
    options: ScreeningOptions,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Sign that a finding was looked at, and is in order.

    The version is screened again: pass the options that `provreg screen` had. The finding is then
    listed as accepted, also in later versions, for everyone whose policy has an [[accept]] rule for
    you. One more sample, or another label or labeler of one, is a new finding.
    """
    output = printing.output()
    check_options(options)
    opened = open_registry(opening, output, outside=options.outside, root=signing)
    signer = require_signer(signing, opened, output)
    found = screened(opened, ref, options, output)
    chosen = found.finding(finding)
    print_finding(chosen, output)
    samples = counted(len(chosen.ids), "sample")
    confirm(f"accept {chosen.check} {short_digest(chosen)} and its {samples}?", yes=yes)
    signed = opened.accept(found, chosen, reason, signer)
    print_warnings(opened, output)
    if signed.accepted is None:
        output.warn(f"the acceptance does not count here: {signed.because}")
    acceptance = signed.acceptance
    output.document({
        "dataset": acceptance.dataset,
        "uid": acceptance.uid,
        "version": acceptance.version,
        "head": acceptance.head,
        "accepted": finding_to_json(chosen),
        "acceptance": signed.accepted and acceptance_to_json(signed.accepted),
        "because": signed.because,
    })  # fmt: skip
    state = "signed" if signed.accepted is None else "accepted"
    output.line(f"{state}: {chosen.check} {short_digest(chosen)} in {acceptance.dataset}"
                f"@{acceptance.version}")  # fmt: skip
