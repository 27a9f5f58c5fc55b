"""`provreg policy`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.ui.options import (
    PolicyOption,
    Printing,
)
from provreg.cli.ui.policy_edit import DryRunOption, apply, moment_of, policy_in_force
from provreg.core.encoding.text import quoted
from provreg.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from provreg.core.policy.policy import Policy

EXAMPLES = (
    "provreg policy init --key my.key.pub",
    "provreg policy init --key alice.pub --name alice --out policy.toml",
    "provreg policy init --key alice.pub --key bob.pub --key ci.pub --threshold 2",
    "provreg policy init --identity ann@example.org --issuer https://id.example.org --name ann",
    "provreg policy check",
    "provreg policy check --policy policy.toml",
    "provreg policy end old.key.pub --valid-until 2027-01-01",
    "provreg policy end lost.key.pub --revoked 2026-07-01T12:00:00Z --policy policy.toml",
    "provreg policy end old.key.pub --valid-until now --dry-run",
)


def init(
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="FILE", help="Public key to trust. Repeatable."),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--identity", metavar="TEXT", help="Identity to trust, with --issuer."),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option("--issuer", metavar="URL", help="Issuer of --identity."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name of a principal, a person or a pipeline: one for each --key. Default: me, or"
            " the names of the key files.",
        ),
    ] = None,
    threshold: Annotated[
        int, typer.Option(metavar="N", help="Principals that must sign a version.")
    ] = 1,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Policy to write.")] = Path(
        "provreg.policy.toml"
    ),
    *,
    printing: Printing,
) -> None:
    """Write a starter policy for all datasets.

    Each key is a principal of its own. `policy add` adds further principals, keys and rules.
    """
    from provreg.core.policy.template import principal_table, starter_policy
    from provreg.flows.session.trust import parse_policy_file
    from provreg.store.files import storage_error
    from provreg.trust.keys import load_public_file

    output = printing.output()
    keys, names = key or [], _names(key or [], name or [])
    if len(keys) > 1 and identity is not None:
        raise UsageError(
            "several keys and an identity: whose identity is it?",
            hint="write the keys, then add the identity: `provreg policy add principal`",
        )
    pems: list[str | None] = [load_public_file(path).pem for path in keys]
    tables: dict[str, str] = {}
    for principal, pem in zip(names, pems or [None], strict=True):
        if principal in tables:
            raise UsageError(
                f"two keys are of the principal {quoted(principal)}",
                hint="pass a --name for each --key, in the same order",
            )
        tables[principal] = principal_table(principal, pem=pem, identity=identity, issuer=issuer)
    text = starter_policy(tables, threshold=threshold)
    parse_policy_file(out, text.encode())
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
        out.chmod(0o644)
    except FileExistsError:
        raise UsageError(
            f"{quoted(str(out))} exists", hint="`provreg policy add` adds to it, or choose --out"
        ) from None
    except OSError as error:
        raise storage_error("write", str(out), error) from error
    output.document({"policy": str(out)})
    trusted = " and ".join(str(signer) for signer in (*keys, identity) if signer is not None)
    output.line(f"{out} trusts {trusted} for every dataset; edit it as needed")
    output.note(f"  provreg policy check --policy {out}")


def _names(keys: list[Path], names: list[str]) -> list[str]:
    """The names of the principals: as given, `me`, or those of several key files."""
    if len(keys) <= 1 and not names:
        return ["me"]
    if not names:
        return [path.name.removesuffix(".pub").removesuffix(".key") for path in keys]
    if len(names) != max(1, len(keys)):
        raise UsageError(
            f"{len(names)} names for {len(keys)} keys",
            hint="pass a --name for each --key, in the same order, or none",
        )
    return names


def check(
    policy: PolicyOption = None,
    *,
    printing: Printing,
) -> None:
    """Explain in words what the policy in force allows."""
    from provreg.core.policy.explain import explain
    from provreg.flows.session.trust import find_policy

    output = printing.output()
    found = find_policy(policy, os.environ, Path.cwd(), ())
    if found is None:
        raise NotFoundError(
            "no policy was found", hint="write one with: provreg policy init --key FILE.pub"
        )
    lines = explain(found.policy, datetime.now(UTC))
    output.document({"policy": str(found.path), "digest": found.digest, "allows": lines})
    output.line(f"{found.path} ({found.digest})")
    for line in lines:
        output.line(line)


def end(
    key: Annotated[
        Path, typer.Argument(metavar="FILE", help="Public key of a principal of the policy.")
    ],
    valid_until: Annotated[
        str | None,
        typer.Option(
            "--valid-until",
            metavar="TIME",
            help="Planned end: later signatures do not count.",
        ),
    ] = None,
    revoked: Annotated[
        str | None,
        typer.Option(
            "--revoked",
            metavar="TIME",
            help="Theft or loss: from this time on, somebody else may have signed.",
        ),
    ] = None,
    policy: PolicyOption = None,
    dry_run: DryRunOption = False,
    *,
    printing: Printing,
) -> None:
    """Give a key in a policy an end.

    TIME is a day or a time with an offset (2027-01-01, 2027-01-01T12:00:00Z), or now. What a key
    signed earlier counts where a timestamp, your state or your pin shows that it is earlier. Before
    a planned end, let the successor sign: `provreg sign NAME --all`.
    """
    from provreg.core.policy.edit import end_key
    from provreg.flows.session.policy_edit import edit_policy, key_index
    from provreg.trust.keys import load_public_file

    output = printing.output()
    ends = {"valid_until": valid_until, "revoked": revoked}
    given = [(field, text) for field, text in ends.items() if text is not None]
    if len(given) != 1:
        raise UsageError(
            "an end is either planned or a theft", hint="pass --valid-until TIME or --revoked TIME"
        )
    ((field, text),) = given
    moment, fingerprint = moment_of(text), load_public_file(key).fingerprint

    def change(text: str, policy: Policy) -> str:
        principal, place = key_index(policy, fingerprint)
        known = getattr(policy.principals[principal].keys[place], field)
        if known is not None:
            raise UsageError(
                f"the key has {field} {known:%Y-%m-%d %H:%M:%SZ} already",
                hint="edit the policy by hand to change it",
            )
        return end_key(text, principal, place, field, moment)

    apply(edit_policy(policy_in_force(policy), change), output, dry_run=dry_run)
