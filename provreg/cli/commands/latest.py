"""`provreg latest`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    NameArgument,
    Opening,
    Printing,
    Signing,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import when
from provreg.cli.ui.session import open_registry, open_signer, print_warnings
from provreg.core.encoding.names import check_dataset_name
from provreg.errors import FormatError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from provreg.core.statements.latest import Latest
    from provreg.flows.verify.freshness import Freshness

EXAMPLES = (
    "provreg latest cifar10 --policy policy.toml",
    "provreg latest cifar10 --sign key:clock.key",
    "provreg latest cifar10 --sign keyless --valid 12h",
    "provreg latest cifar10 --sign key:clock.key --timestamp"
    " https://timestamp.sigstore.dev/api/v1/timestamp",
    "provreg latest trial --sign keyless --trust-config sigstore.json",
    "provreg latest trial --sign keyless --staging --trusted-root root.json",
)


def latest(
    name: NameArgument,
    valid: Annotated[
        str, typer.Option(metavar="SPAN", help="With --sign: validity (30m, 12h, 7d, 2w).")
    ] = "7d",
    *,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Show or sign which version is the newest.

    With --sign, the newest version is verified, and you attest for a limited time that no version
    and no revocation is newer. Policies can require such a statement.
    """
    output = printing.output()
    check_dataset_name(name)
    span = _span(valid)
    opened = open_registry(opening, output, root=signing)
    signer = open_signer(signing.sign, signing, opened, output)
    signed = None if signer is None else opened.sign_latest(name, signer, valid=span)
    freshness = opened.latest(name) if signed is None else signed.freshness
    print_warnings(opened, output)
    for reason in freshness.passed_over:
        output.warn(f"a latest statement of {name} does not count: {reason}")
    statement = None if signed is None else signed.latest
    if signed is not None and not signed.counts:
        output.warn("your statement does not count under the policy in force")
    output.document({
        "dataset": name,
        "signed": None if statement is None else _to_json(statement, ()),
        "latest": [_to_json(attested.latest, [by for by, _ in attested.approvals])
                   for attested in freshness.attested],
    })  # fmt: skip
    if statement is not None:
        until = when(statement.expires)
        output.line(f"attested until {until}: {name}@{statement.version} is the newest version")
    _show(name, freshness, output)


def _show(name: str, freshness: Freshness, output: Output) -> None:
    if not freshness.attested:
        output.line(f"no latest statement of {name} counts")
        return
    output.table(
        ("newest", "revocation", "as of", "expires", "by"),
        [
            (
                f"{name}@{attested.latest.version}",
                attested.latest.revocation and attested.latest.revocation.number,
                when(attested.latest.as_of),
                when(attested.latest.expires),
                ", ".join(by for by, _ in attested.approvals),
            )
            for attested in freshness.attested
        ],
        whole=("newest", "as of", "expires"),
    )


def _to_json(latest: Latest, by: Sequence[str]) -> dict[str, Any]:
    link = latest.revocation
    return {
        "uid": latest.uid,
        "version": latest.version,
        "head": latest.head,
        "revocation": None if link is None else {"number": link.number, "digest": link.digest},
        "as_of": when(latest.as_of),
        "expires": when(latest.expires),
        "by": list(by),
    }


def _span(valid: str) -> timedelta:
    from provreg.core.encoding.times import parse_duration

    try:
        return parse_duration(valid)
    except FormatError as error:
        raise UsageError(f"--valid: {error.message}", hint=error.hint) from None
