"""`provreg policy`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.options import (
    PolicyOption,
    Printing,
)
from provreg.core.encoding.text import quoted
from provreg.errors import NotFoundError, UsageError

EXAMPLES = (
    "provreg policy init --key my.key.pub",
    "provreg policy init --key alice.pub --name alice --out policy.toml",
    "provreg policy init --identity ann@example.org --issuer https://id.example.org --name ann",
    "provreg policy check",
    "provreg policy check --policy policy.toml",
)


def init(
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Public key to trust.")
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
        str, typer.Option(metavar="NAME", help="Name of the principal, a person or a pipeline.")
    ] = "me",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Policy to write.")] = Path(
        "provreg.policy.toml"
    ),
    *,
    printing: Printing,
) -> None:
    """Write a starter policy: one principal, all datasets."""
    from provreg.core.policy.template import starter_policy
    from provreg.store.files import storage_error
    from provreg.trust.keys import load_public_file

    output = printing.output()
    pem = None if key is None else load_public_file(key).pem
    text = starter_policy(name, pem=pem, identity=identity, issuer=issuer)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
        out.chmod(0o644)
    except FileExistsError:
        raise UsageError(
            f"{quoted(str(out))} exists", hint="edit it, or choose another --out"
        ) from None
    except OSError as error:
        raise storage_error("write", str(out), error) from error
    output.document({"policy": str(out)})
    trusted = " and ".join(str(signer) for signer in (key, identity) if signer is not None)
    output.line(f"{out} trusts {trusted} for every dataset; edit it as needed")
    output.note(f"  provreg policy check --policy {out}")


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
