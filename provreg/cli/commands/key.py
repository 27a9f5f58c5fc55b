"""`provreg key`."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.options import (
    Printing,
)
from provreg.cli.ui.session import passphrase
from provreg.errors import UsageError

EXAMPLES = (
    "provreg key generate --out my.key",
    "provreg key generate --out ci.key --no-passphrase",
    "provreg key generate --out my.key --algorithm ed25519",
    "provreg key show my.key.pub",
    "provreg key show my.key --json",
)


class Algorithm(StrEnum):
    """The values of `--algorithm`."""

    P256 = "p256"
    ED25519 = "ed25519"


def generate(
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Private key; the public key is FILE.pub."),
    ],
    algorithm: Annotated[
        Algorithm, typer.Option(help="Every Sigstore client accepts P-256.")
    ] = Algorithm.P256,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Write the private key unencrypted.")
    ] = False,
    *,
    printing: Printing,
) -> None:
    """Generate a key pair for signing.

    The passphrase is read from PROVREG_PASSWORD or from the terminal.
    """
    from provreg.trust.keys import generate as generate_key
    from provreg.trust.keys import write_key

    output = printing.output()
    chosen = "" if no_passphrase else _new_passphrase()
    key = generate_key(algorithm.value)
    public = write_key(key, out, chosen, unencrypted=no_passphrase)
    output.document(
        {"private": str(out), "public": str(public), "fingerprint": key.public.fingerprint}
    )
    output.line(f"private key  {out}  keep it secret, and keep a backup")
    output.line(f"public key   {public}  give it to everyone who verifies")
    output.line(f"fingerprint  {key.public.fingerprint}")


def _new_passphrase() -> str:
    chosen = passphrase("new passphrase: ")
    if chosen is None:
        raise UsageError(
            "cannot ask for a passphrase without a terminal",
            hint="set PROVREG_PASSWORD, or pass --no-passphrase for an unencrypted key",
        )
    interactive = "PROVREG_PASSWORD" not in os.environ and "COSIGN_PASSWORD" not in os.environ
    if interactive and sys.stdin.isatty() and passphrase("repeat the passphrase: ") != chosen:
        raise UsageError("the passphrases differ", hint="run the command again")
    return chosen


def show(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Public or private key; a private part is not shown."),
    ],
    *,
    printing: Printing,
) -> None:
    """Show a key's fingerprint and the lines for a policy.

    The fingerprint identifies the key in messages, policies and states. Of an encrypted private key
    the public part is read from FILE.pub beside it, or with the passphrase.
    """
    from provreg.core.policy.template import key_lines
    from provreg.trust.keys import describe_key

    output = printing.output()
    key = describe_key(file, lambda: passphrase("passphrase of the key: "))
    lines = key_lines(key.public.pem)
    output.document(
        {
            "file": str(file),
            "fingerprint": key.public.fingerprint,
            "algorithm": key.public.algorithm,
            "kind": key.kind,
            "encrypted": key.encrypted,
            "pem": key.public.pem,
        }
    )
    kind = f"{key.kind}{', encrypted' if key.encrypted else ''} ({key.public.algorithm})"
    output.facts({"file": str(file), "kind": kind, "fingerprint": key.public.fingerprint})
    if key.source is not None:
        output.note(f"read from {key.source}: whether it belongs to the private key is not checked")
    if key.kind == "private" and not key.encrypted:
        output.warn(f"the private key in {file} is not encrypted")
    output.line("in a policy, under [[principal]]:")
    for line in lines:
        output.line(line)
